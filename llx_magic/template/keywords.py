"""The keywords that methods of an expression may be given: those that choose what is read and how it looks.

A keyword that is not here is refused, for libraries add some that write, give memory away or open files: pyarrow's
``self_destruct``, pandas' ``inplace`` and ``storage_options``, numpy's ``out``.
"""

from __future__ import annotations

from collections.abc import Iterable

from llx_magic.template import methods
from llx_magic.template.errors import NotDataError

_ROWS_AND_COLUMNS = """append as_dict as_index as_series asof axis by col_fill col_level column columns dim drop dropna
exclude frac fraction group_keys id_vars ignore_index include include_key indexer indices index items keep key keys
kind label labels length level like mapper maintain_order mask n name named names offset on other others predicate
rows sort sorting subset take value_name value_vars values var_name variable_name verify_integrity where"""
_NUMBERS = """adjust aggfunc aggregate_function alpha bias bins closed com cond ddof decimals fill_method fill_value
fisher freq half_life halflife ignore_na ignore_nulls initial interpolation inclusive keepdims left limit limit_area
limit_direction lower lower_bound margins margins_name method min_count min_periods min_samples na_option normalize
numeric_only observed order origin parallel percentiles periods pct q quantile random_state right rule seed shape
shuffle side skipna span start_time end_time strategy thresh time times to_replace tolerance upper upper_bound value
weights width window window_size"""
_ORDER = "ascending descending future_stack keep_equal keep_shape align_axis na_position nulls_last result_names"
_LOOKS = """col_space date_format date_unit datetime_format decimal double_precision doublequote escapechar
float_format float_precision floatfmt force_ascii formatters header include_header index_label index_names indent
justify line_terminator lines lineterminator line_width max_cols max_colwidth max_rows min_rows na_rep null_value
orient quote_style quotechar quoting separator sep show_dimensions sparsify stralign tablefmt time_format"""
_TEXTS = """case chars count default encoding end errors expand fillchar flags iterable keepends literal maxsplit na
new old pad_str pat prefix regex repl start step stop strict string sub suffix suffixes tabsize to_strip"""
_TIMES = """ambiguous day dtype dtypes fold format hour how microsecond minute month na_value nanosecond nonexistent
second time_unit time_zone timespec tz tzinfo unit year max_denominator"""
_ALLOWED = frozenset(f"{_ROWS_AND_COLUMNS} {_NUMBERS} {_ORDER} {_LOOKS} {_TEXTS} {_TIMES}".split())

_NAMED_BY_THE_USER: tuple[tuple[str, frozenset[str]], ...] = (
    ("builtins.str", frozenset({"format"})),
    ("pandas.DataFrame", frozenset({"assign", "agg", "aggregate"})),
    ("pandas.Series", frozenset({"agg", "aggregate"})),
    ("pandas.api.typing.DataFrameGroupBy", frozenset({"agg", "aggregate"})),
    ("pandas.api.typing.SeriesGroupBy", frozenset({"agg", "aggregate"})),
    ("pandas.api.typing.Resampler", frozenset({"agg", "aggregate"})),
    ("polars.DataFrame", frozenset({"filter", "select", "select_seq"})),
    ("xarray.DataArray", frozenset({"sel", "isel"})),
    ("xarray.Dataset", frozenset({"sel", "isel"})),
)
"""Methods whose keywords are names of the user's own columns; a value for each is all that they take."""

_WRITING = frozenset({"inplace", "in_place", "out", "copy", "engine", "engine_kwargs", "drop_indexes"})


def check(owner: object, name: str, keywords: Iterable[str]) -> None:
    """Refuse a keyword of an allowed method that is not known to be harmless.

    Raises NotDataError with the keyword.
    """
    free = any(name in names and methods.is_of(owner, place) for place, names in _NAMED_BY_THE_USER)
    if free and methods.is_of(owner, "builtins.str"):
        return
    unknown = sorted(each for each in keywords if each in _WRITING or not (free or each in _ALLOWED))
    if unknown:
        raise NotDataError(f"{name}() takes no {unknown[0]}= here")
