"""The door of the administrators."""
