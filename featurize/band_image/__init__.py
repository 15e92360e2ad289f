"""Pictures of band structures from any source, brought to the one form that the model reads."""
