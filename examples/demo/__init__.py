"""The demonstration of the main job: `./do demo`. Start with __main__.py."""
