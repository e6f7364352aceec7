"""The Jupyter server extension. The only folder that imports jupyter_server and tornado."""
