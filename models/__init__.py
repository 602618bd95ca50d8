"""What a healthy shower looks like: geometry, flows, scores, references, artefacts."""
