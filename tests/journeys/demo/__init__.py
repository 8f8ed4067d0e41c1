"""`make demo`: the main job for a newcomer to watch, and every expectation of it checked.

deliveries.py what is sent and what must come of it · project.py the project and its service · upstream.py the APIs that
its handlers call · report.py what is printed · story.py the order of it all.
"""
