"""The arguments of tools, as assistants read them. Whether a value can be used is the services' to say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from studio.catalog import MAX_GUIDANCE, MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS

Prompt = Annotated[str, Field(description=f"What to show, up to {MAX_PROMPT_CHARS} characters.")]
JobTypeName = Annotated[
    str,
    Field(
        description="What to make: sdxl_image_fast or sdxl_image_high (up to six pictures), image_fast or image_high "
        "(one WAN picture), video_fast or video_high (a film); image7b_fast_enhanced and its like let Qwen write the "
        "prompt out first. The tool job_types has all of them with sizes and limits."
    ),
]
NegativePrompt = Annotated[str, Field(description="What not to show.")]
Width = Annotated[int | None, Field(description="Pixels; the type's own where absent.")]
Height = Annotated[int | None, Field(description="Pixels; the type's own where absent.")]
Steps = Annotated[int | None, Field(description=f"Denoising steps, 1 to {MAX_STEPS}.")]
Guidance = Annotated[float | None, Field(description=f"Guidance scale, 0 to {MAX_GUIDANCE:g}.")]
Seed = Annotated[int, Field(description=f"0 to {MAX_SEED}, which gives the same result again; -1 draws one.")]
Count = Annotated[int | None, Field(description="How many pictures; the type's own number where absent.")]
Reference = Annotated[str | None, Field(description="Id of an asset to begin with; for a film it may be a film.")]
Mask = Annotated[str | None, Field(description="Id of a picture that is white where the reference is to be repainted.")]
Strength = Annotated[float | None, Field(description="How much of the reference is redrawn, 0 to 1.")]
Project = Annotated[str | None, Field(description="Id of a project.")]
JobId = Annotated[str, Field(description="Id of a job.")]
AssetId = Annotated[str, Field(description="Id of an asset, a picture or film.")]
JobStatus = Annotated[str | None, Field(description="pending, processing, completed, failed or cancelled.")]
OfJobType = Annotated[str | None, Field(description="One job type alone.")]
Kind = Annotated[str, Field(description='"video" or "image": what the prompt is for.')]
OfKind = Annotated[str | None, Field(description='"image" or "video" alone.')]
Search = Annotated[str | None, Field(description="Words that stand in the prompt or the tags.")]
Favourite = Annotated[bool | None, Field(description="Favourites alone, or all others.")]
Limit = Annotated[int, Field(description="Items a page, 1 to 200.")]
Cursor = Annotated[str | None, Field(description="`next` of the page before.")]
