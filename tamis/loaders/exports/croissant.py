"""Croissant 1.1 of a manifest, with its lineage in PROV-O.

mlcommons.org/croissant/1.1: `distribution` has the files, with their SHA-256, and `recordSet` the
columns. The manifest `prov:wasDerivedFrom` the files of its sources, and `prov:wasGeneratedBy` the
run: its configuration's digest and the version of tamis. There is no clock in it, and no licence,
which is for those who know it to add.
"""

import json
from typing import Any

from tamis import storage
from tamis.loaders import manifest
from tamis.schemas import manifest as schema

DOCUMENT = "croissant.json"
_CONFORMS = "http://mlcommons.org/croissant/1.1"
_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "int32": "sc:Integer", "int8": "sc:Integer"}
_ENCODINGS = {
    "parquet": "application/x-parquet",
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "webdataset": "application/x-tar",
}
_CR = """arrayShape citeAs column containedIn equivalentProperty extract field fileProperty
fileObject fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet
references regex repeated replace samplingRate separator source subField transform"""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "prov": "http://www.w3.org/ns/prov#",
    "sc": "https://schema.org/",
    **{name: f"cr:{name}" for name in _CR.split()},
}


def export(folder: str, out: str) -> None:
    """Write the Croissant of a manifest; its records are there if it is written beside them."""
    beside = storage.folder(out).rstrip("/") == folder.rstrip("/")
    storage.write_atomic(out, encoded(folder, beside=beside))


def encoded(folder: str, *, beside: bool = True) -> bytes:
    """The document as it is written."""
    described = describe(folder, beside=beside)
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def name(document: dict) -> str:
    """What a manifest is called: its kind, its samples and the first digits of its digest."""
    return f"{document['kind']}-{document['samples']}-{document['digest'][:8]}"


def describe(folder: str, *, beside: bool = True) -> dict:
    """The document, to stand beside the manifest or elsewhere."""
    document = manifest.document(folder)
    parts = _parts(folder, document, beside=beside)
    inputs = [_input(i, f) for i, f in enumerate(document["files"])]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": f"urn:tamis:manifest:{document['digest']}",
        "conformsTo": _CONFORMS,
        "name": name(document),
        "description": f"{document['rows']} rows and how often to train on each, "
        f"{document['samples']} samples in all.",
        "version": "1.0.0",
        "prov:wasDerivedFrom": [{"@id": file["@id"]} for file in inputs],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "@id": f"urn:tamis:run:{document['inputs']}",
            "prov:wasAssociatedWith": {
                "@type": "prov:SoftwareAgent",
                "@id": f"urn:tamis:version:{document['tamis']}",
            },
            "identifier": document["inputs"],
        },
        "distribution": [*inputs, *parts, *([_TOGETHER] if beside else [])],
        "recordSet": [_records()] if beside else [],
    }


def _input(number: int, file: dict) -> dict:
    return {
        "@type": "cr:FileObject",
        "@id": f"input-{number}",
        "name": f"input-{number}",
        "description": f"Of source {file['source']}."
        + (" SHA-256 of what sha256sum lists of the folder." if file["format"] == "images" else ""),
        "contentUrl": file["path"],
        "contentSize": f"{file['size']} B",
        "encodingFormat": _ENCODINGS.get(file["format"], "application/octet-stream"),
        "sha256": file["sha256"],
    }


_TOGETHER = {
    "@type": "cr:FileSet",
    "@id": "parts",
    "name": "parts",
    "encodingFormat": _ENCODINGS["parquet"],
    "includes": "part-*.parquet",
}


def _parts(folder: str, document: dict, *, beside: bool) -> list[dict]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": part["file"],
            "name": part["file"],
            "contentUrl": part["file"] if beside else storage.join(folder, part["file"]),
            "encodingFormat": _ENCODINGS["parquet"],
            "sha256": storage.sha256(storage.join(folder, part["file"])),
        }
        for part in document["parts"]
    ]


def _records() -> dict:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{field.name}",
            "name": field.name,
            "dataType": _TYPES.get(str(field.type), "sc:Integer"),
            "source": {"fileSet": {"@id": "parts"}, "extract": {"column": field.name}},
        }
        for field in schema.SCHEMA
    ]
    return {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}
