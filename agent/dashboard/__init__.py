"""The page that people look at: its files, and what of it is made by the agent. Knows nothing of HTTP."""

from rabbitkeeper.agent.dashboard.files import Files, StaticFile
from rabbitkeeper.agent.dashboard.page import content_policy, render_page

__all__ = ["Files", "StaticFile", "content_policy", "render_page"]
