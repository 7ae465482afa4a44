"""Dataflow's jobs, drawn and validated before anything is sent: no project, no network, no login.

What can be drawn beforehand are the jobs that read the data whole, `ingest` and `embed`; what comes
after is cut by what those find, and has the same form: spans, one step, sidecars.
"""

import json

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners import pipeline_utils
from apache_beam.transforms import environments
from google.protobuf import json_format

from tamis import errors, storage
from tamis.pipelines import embed, engine, ingest, session, view
from tamis.schemas import config

_ACCELERATOR = "beam:resources:accelerator:v1"


def write(document: config.Run, where: str) -> dict[str, dict[str, str]]:
    """Draw the jobs of a run and write them as JSON, graphs and options.

    Args:
      document: The run file, whose runner is Dataflow.
      where: File to write.

    Returns:
      Steps that ask for an accelerator, and for which, by job.

    Raises:
      SchemaError: an input is missing or has another shape.
      ConfigError: Beam refuses an option, such as a bucket's name.
    """
    graphs = draw(document)
    told = {
        "beam": beam.__version__,
        "options": engine.dataflow(document.runner),
        "jobs": {name: json_format.MessageToDict(graph) for name, graph in graphs.items()},
    }
    storage.write_atomic(where, (json.dumps(told, indent=1) + "\n").encode())
    return {name: accelerated(graph) for name, graph in graphs.items()}


def draw(document: config.Run) -> dict[str, beam_runner_api_pb2.Pipeline]:
    """The graphs of ingest and embed, from the inputs as they are."""
    cut = ingest.cut(ingest.files(document), document.ingest.shard_rows)
    read = ingest.Write(document.run, "", 0, document.ingest, "")
    found = view.View(document.run, (), document.ingest.max_text_bytes, 0)
    section = document.embed
    write = embed.Write(found, "", section.dtype, section.content)
    steps = {"ingest": beam.ParDo(read), "embed": embed.transform(write, section)}

    def build(name: str) -> engine.Build:
        return lambda pipeline: session.spans(pipeline, cut) | name >> steps[name]

    return {name: graph(document.runner, build(name)) for name in steps}


def graph(runner: config.Runner, build: engine.Build) -> beam_runner_api_pb2.Pipeline:
    """One job as what the service is sent: the portable graph, in the workers' container."""
    given = pipeline_options.PipelineOptions(engine.dataflow(runner))
    try:
        pipeline = beam.Pipeline(options=given)
    except ValueError as error:
        raise errors.ConfigError(
            "Beam refuses the options of Dataflow",
            why="; ".join(str(error).splitlines()[1:]),
            remedy="mend the run file's `runner` section",
        ) from error
    build(pipeline)
    image = environments.DockerEnvironment.from_container_image(
        runner.container or environments.DockerEnvironment.default_docker_image(),
        resource_hints=environments.resource_hints_from_options(given),
    )
    drawn = pipeline.to_runner_api(default_environment=image)
    pipeline_utils.validate_pipeline_graph(drawn)
    return drawn


def accelerated(drawn: beam_runner_api_pb2.Pipeline) -> dict[str, str]:
    """Steps whose workers have an accelerator, by their full name, and which one."""
    hints = {
        name: environment.resource_hints[_ACCELERATOR].decode()
        for name, environment in drawn.components.environments.items()
        if _ACCELERATOR in environment.resource_hints
    }
    return {
        step.unique_name: hints[step.environment_id]
        for step in drawn.components.transforms.values()
        if step.environment_id in hints
    }
