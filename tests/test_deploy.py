"""The files of deploy/: what can be checked of them without the machines they are for."""

import json
import os
import pathlib
import re
import subprocess
import sys

import apache_beam
import jsonschema
import yaml

from deploy import fetched, local_cluster
from deploy.dataflow import launch
from tamis.pipelines import probe

DEPLOY = pathlib.Path(__file__).parents[1] / "deploy"
# What Google documents of a template's metadata; the service's own check is not to be had here.
METADATA = {
    "type": "object",
    "required": ["name", "description", "parameters"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "label", "helpText"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                    "label": {"type": "string"},
                    "helpText": {"type": "string"},
                    "isOptional": {"type": "boolean"},
                    "regexes": {"type": "array", "items": {"type": "string"}},
                    "paramType": {"enum": ["TEXT", "GCS_READ_FILE", "GCS_READ_FOLDER"]},
                },
            },
        },
    },
}


def test_the_template_s_parameters_are_the_launcher_s():
    metadata = json.loads((DEPLOY / "dataflow/metadata.json").read_text())
    jsonschema.validate(metadata, METADATA)
    given = {"run_file": "gs://my-bucket/run.yaml", "stage": "embed"}
    for parameter in metadata["parameters"]:
        assert all(re.match(r, given[parameter["name"]]) for r in parameter["regexes"])
    required = {p["name"] for p in metadata["parameters"] if not p.get("isOptional")}
    assert required == {"run_file"}
    told = [f"--{name}={value}" for name, value in given.items()]
    own, beams = launch.parser().parse_known_args([*told, "--region=europe-west4"])
    assert (own.run_file, own.stage, beams) == (*given.values(), ["--region=europe-west4"])


def test_the_launcher_runs_the_stage(described, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(described(tmp_path / "run")))
    launch.main([f"--run_file={file}", "--stage=ingest"])
    assert list(json.loads((tmp_path / "run/run.json").read_text())["stages"]) == ["ingest"]


def test_images_carry_the_beam_that_is_installed():
    texts = [p.read_text() for p in DEPLOY.rglob("*") if p.suffix in (".Dockerfile", ".yaml")]
    found = set(re.findall(r"apache/beam_\w+(?:\.\d+\w*)?:(\d[\d.]+)", "\n".join(texts)))
    assert found == {apache_beam.__version__}
    for dockerfile in DEPLOY.rglob("*.Dockerfile"):
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile.read_text(), re.MULTILINE):
            assert all((DEPLOY.parent / name).exists() for name in line.split())


def test_the_parts_in_kubernetes_agree_on_their_ports():
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes/flink.yaml").read_text()))
    named = {(p["kind"], p["metadata"]["name"]): p for p in parts}
    pods = {
        name: p["spec"]["template"]["spec"]["containers"]
        for (_, name), p in named.items()
        if "template" in p.get("spec", {})
    }
    (run,) = pods["tamis"]
    assert run["command"][:2] == ["tamis", "run"]
    assert run["command"][-1] == "--"
    options = dict(a.removeprefix("--").split("=") for a in run["args"])
    host, port = options["job_endpoint"].split(":")
    served = {p["port"] for p in named["Service", host]["spec"]["ports"]}
    (server,) = pods["job-server"]
    assert f"--job-port={port}" in server["args"]
    assert int(port) in served
    assert int(options["artifact_endpoint"].split(":")[1]) in served
    pool = pods["taskmanager"][1]["command"]
    assert pool == ["tamis", "runner", "pool", options["environment_config"]]
    assert probe.questions(tuple(run["args"]))["runner"]() == "FlinkRunner"


def test_the_slurm_script_runs_a_stage(described, tmp_path):
    script = DEPLOY / "slurm/tamis.sbatch"
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(described(tmp_path / "run")))
    subprocess.run(["bash", "-n", script], check=True)
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {
        **os.environ,
        "PATH": path,
        "SLURM_CPUS_PER_TASK": "2",
        "PYTHONPATH": str(DEPLOY.parent),
    }
    command = ["bash", script, file, "ingest"]
    ran = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert list(json.loads((tmp_path / "run/run.json").read_text())["stages"]) == ["ingest"]


def test_the_pinned_distributions_are_exact_and_few():
    pins = [fetched.PINS[engine]["distribution"] for engine in local_cluster.ENGINES]
    assert all(re.fullmatch(r"[\w-]+==\d+\.\d+\.\d+", pin) for pin in pins)
