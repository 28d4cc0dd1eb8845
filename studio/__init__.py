"""OurVidz Studio: people, jobs, media and screens."""

VERSION = "0.1.0"
