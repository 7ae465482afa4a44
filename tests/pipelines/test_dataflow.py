"""Dataflow without Google: its jobs drawn, validated and written; who asks for the GPU."""

import json

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf import json_format

from tamis import errors
from tamis.pipelines import chain, dataflow, engine

GPU = "type:nvidia-l4;count:1;install-nvidia-driver"
PLACE = {
    "kind": "dataflow",
    "project": "my-project",
    "region": "europe-west4",
    "temp_location": "gs://my-bucket/tmp",
    "machine_type": "g2-standard-8",
    "container": "europe-docker.pkg.dev/my-project/tamis/gpu:1",
}


@pytest.fixture
def document(configured):
    return configured("gs://my-bucket/run", runner=PLACE, embed={"accelerator": GPU})


def test_the_gpu_is_asked_for_by_the_embed_step_and_nowhere_else(document, tmp_path):
    asked = dataflow.write(document, str(tmp_path / "jobs.json"))
    assert asked["ingest"] == {}
    assert asked["embed"]["embed"] == GPU
    assert {name.split("/")[0] for name in asked["embed"]} == {"embed"}
    graph = dataflow.draw(document)["embed"]
    below = {
        step.unique_name
        for step in graph.components.transforms.values()
        if step.unique_name.split("/")[0] == "embed"
    }
    assert below == set(asked["embed"])


def test_no_other_job_of_a_run_asks_for_it(configured, tmp_path, monkeypatch):
    asked, run = {}, engine.run

    def watched(runner, args, build):
        drawn = beam.Pipeline()
        build(drawn)
        asked.update(dataflow.accelerated(drawn.to_runner_api()))
        run(runner, args, build)

    monkeypatch.setattr(engine, "run", watched)
    document = configured(tmp_path / "run", embed={"accelerator": GPU}, plan={"budgets": [100]})
    chain.run(document, stages=tuple(chain.STAGES)[:-1])
    assert {name.split("/")[0] for name in asked} == {"embed"}


def test_the_written_jobs_are_whole(document, tmp_path):
    dataflow.write(document, str(tmp_path / "jobs.json"))
    told = json.loads((tmp_path / "jobs.json").read_text())
    assert "--machine_type=g2-standard-8" in told["options"]
    assert told["beam"] == beam.__version__
    for job in told["jobs"].values():
        graph = json_format.ParseDict(job, beam_runner_api_pb2.Pipeline())
        images = {e.payload.decode() for e in graph.components.environments.values()}
        assert all(PLACE["container"] in image for image in images)
        beam.Pipeline.from_runner_api(graph, runner=None, options=None)


def test_what_beam_refuses_is_told_before_anything_is_sent(configured, tmp_path):
    wrong = configured("gs://b/r", runner={**PLACE, "project": "12", "temp_location": "gs://B!/t"})
    with pytest.raises(errors.ConfigError, match="Invalid GCS bucket"):
        dataflow.write(wrong, str(tmp_path / "jobs.json"))


@pytest.mark.parametrize("lacking", ["project", "region", "temp_location"])
def test_a_place_is_given_whole(configured, lacking):
    with pytest.raises(errors.ConfigError, match=lacking):
        configured("gs://b/r", runner={**PLACE, lacking: ""})


def test_a_run_folder_on_this_disk_is_refused(configured, tmp_path):
    with pytest.raises(errors.ConfigError, match="do not see this machine's disk"):
        chain.run(configured(tmp_path / "run", runner=PLACE), stages=("ingest",))
