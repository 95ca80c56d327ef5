"""The dashboard's charts, from top to bottom; each is a file of its own."""

from __future__ import annotations

from llx_magic.dashboard.charts import circuits, rates, requests

CHARTS = (circuits.CHART, rates.CHART, requests.CHART)
