"""The magics and hooks of an IPython kernel. The only folder that imports IPython."""
