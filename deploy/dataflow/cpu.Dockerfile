# Workers of Dataflow (and of any engine that runs workers in containers) without a GPU.
# docker build -f deploy/dataflow/cpu.Dockerfile -t IMAGE .      from the repository's root
FROM apache/beam_python3.11_sdk:2.77.0
COPY pyproject.toml README.md LICENSE /src/
COPY tamis /src/tamis
RUN pip install --no-cache-dir '/src[static,gcp]'
# Beam's own entrypoint stays: /opt/apache/beam/boot
