"""Events in; debug lines, statistics, tables and plots out."""
