"""Of the run file: what is read, and how it becomes rows and vectors."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tamis import decoding
from tamis.schemas import shards
from tamis.schemas.parts import Fraction, Part, Positive


class Source(Part):
    """Where rows come from, and what this source calls its columns."""

    path: str | list[str] = Field(description="File, folder, glob or URL; or a list of them")
    text: str = Field("", description="Column of the text to embed")
    label: str = Field("", description="Column of class labels, for pilots that need them")
    id: str = Field(
        "", description="Column of the source's own ids; without it, content names a row"
    )
    image: str = Field("", description="Column of encoded images; docs/images.md says which")
    embedding: str = Field("", description="Column of precomputed vectors")
    vectors: str = Field(
        "",
        description=".npy file with one precomputed vector per row of the file; or .npz#array, and "
        "of pairs .npz#images+texts",
    )
    format: shards.Format | None = Field(None, description="When the extension does not say")
    delimiter: str | None = Field(None, max_length=1, description="Of csv files; tab in .tsv")
    quote: str | None = Field(None, max_length=1, description="Of csv files; none in .tsv")
    header: list[str] = Field([], description="Names of csv columns when line 1 does not give them")

    @pydantic.model_validator(mode="after")
    def _has_content(self) -> "Source":
        if not (self.text or self.image or self.embedding or self.vectors):
            raise ValueError("name at least one of: text, image, embedding, vectors")
        return self

    def columns(self) -> shards.Columns:
        return shards.Columns(self.text, self.label, self.id, self.embedding, self.image)


class Ingest(Part):
    """How inputs are cut and what counts as a bad row."""

    shard_rows: Positive = Field(shards.SHARD_ROWS, description="Rows per shard")
    max_text_bytes: Positive = Field(1 << 20, description="A longer text is rejected")
    max_pixels: Annotated[int, Field(gt=0, le=decoding.HIGHEST_LIMIT)] = Field(
        decoding.MAX_PIXELS, description="An image whose header tells more is not decoded"
    )
    image_seconds: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Processor time an image may take to be decoded, in a process of its own"
    )
    max_rejected_fraction: Fraction = Field(0.01, description="Above it the run fails with code 3")
    duplicates: Literal["drop", "keep"] = Field(
        "drop", description="Rows with one uid: train on the first only, or on each"
    )


class Embed(Part):
    """How a row becomes a unit vector."""

    backend: Literal["static", "pixels", "sentence-transformers", "precomputed"] = Field(
        "static",
        description="static = WordLlama, of texts; pixels = gradients and colours, of images; "
        "both without torch; precomputed = a column, .npy or .npz",
    )
    of: Literal["text", "image", "pair"] | None = Field(
        None, description="What is embedded; default text, with pixels the image"
    )
    model: str = Field("", description="sentence-transformers: a folder or a hub id")
    pooling: Literal["model", "rds"] = Field(
        "model", description="As the model says, or RDS+: hidden states weighted by position"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="cuda fails without a GPU")
    allow_cpu: bool = Field(default=False, description="Let device: cuda fall back to the CPU")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="sentence-transformers: of weights and arithmetic; a half is for GPUs",
    )
    batch: Positive = Field(64, description="Texts per forward pass; halved when out of memory")
    dtype: Literal["float16", "float32"] = Field("float16", description="On disk")
    accelerator: str = Field("", description="Beam resource hint, e.g. type:nvidia-l4;count:1")

    @pydantic.model_validator(mode="after")
    def _has_model(self) -> "Embed":
        if self.backend == "sentence-transformers" and not self.model:
            raise ValueError("backend sentence-transformers needs `model`: a folder or a hub id")
        only = {"static": "text", "pixels": "image"}.get(self.backend)
        if only and self.content != only:
            raise ValueError(f"backend {self.backend} embeds no {self.of}, only {only}")
        return self

    def shaping(self) -> dict:
        """What a vector depends on, and not merely where it is made."""
        usual = {"precision"} if self.precision == "float32" else set()  # as before it was there
        return self.model_dump(exclude={"device", "allow_cpu", "accelerator", *usual})

    @property
    def content(self) -> Literal["text", "image", "pair"]:
        """What is embedded."""
        return self.of or ("image" if self.backend == "pixels" else "text")
