# What a Flex template starts: launches one stage of a run as one Dataflow job.
# docker build -f deploy/dataflow/launcher.Dockerfile -t LAUNCHER .
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base
COPY pyproject.toml README.md LICENSE /src/
COPY tamis /src/tamis
RUN pip install --no-cache-dir '/src[static,gcp]'
COPY deploy/dataflow/launch.py /template/launch.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py
