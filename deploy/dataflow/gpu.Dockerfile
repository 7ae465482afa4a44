# Workers with an NVIDIA GPU: the embed step's. One image serves all steps of a job.
# docker build -f deploy/dataflow/gpu.Dockerfile -t IMAGE .
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04
RUN apt-get update \
 && apt-get install --yes --no-install-recommends software-properties-common \
 && add-apt-repository --yes ppa:deadsnakes/ppa \
 && apt-get install --yes --no-install-recommends python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3.11 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY pyproject.toml README.md LICENSE /src/
COPY tamis /src/tamis
RUN pip install --no-cache-dir '/src[static,gcp,embed]'
COPY --from=apache/beam_python3.11_sdk:2.77.0 /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]
