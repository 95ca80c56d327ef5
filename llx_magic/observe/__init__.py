"""Events in; debug lines, reports, tables, plots and spans out."""
