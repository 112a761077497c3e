"""The projects' own tests run in copies of the projects, before and after the refactoring."""

collect_ignore = ["projects"]
