"""Task groups: `asyncio.TaskGroup` with children on many loops, case by case.

Which case of CPython's own tests is which test here: docs/design/task-groups.md.
"""
