"""What a cell shows. The only folder that imports ipywidgets, anywidget and plotly."""
