"""The methods that an expression may call, and with which keywords: those that read, and nothing that writes or runs.

A row names a class by where it lives in ``sys.modules``; a class whose module nobody imported is not looked for. A
method counts only where the class itself, or a base of it, defines it: a subclass of the user's that overrides ``head``
runs code of the user's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

from llx_magic.template.errors import NotDataError

_TEXTS = """capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha
isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip
partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith
strip swapcase title upper zfill"""
_BYTES = "count decode endswith find hex index lower lstrip rstrip split splitlines startswith strip upper"
_NUMBERS = "as_integer_ratio bit_count bit_length conjugate hex is_integer"
_DECIMALS = """adjusted as_integer_ratio as_tuple is_finite is_infinite is_nan is_signed is_zero normalize quantize
to_integral_value copy_abs"""
_DATES = """isoformat weekday isoweekday isocalendar strftime ctime toordinal timetuple replace date time timetz
timestamp astimezone tzname utcoffset dst total_seconds"""
_SETS = "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"
_PATHS = """as_posix as_uri is_absolute is_relative_to joinpath match relative_to with_name with_stem with_suffix
full_match"""

_REDUCED = """all any count first last max mean median min nunique prod quantile sem size skew std sum var kurt
cumcount cummax cummin cumprod cumsum idxmax idxmin rank ngroup nth head tail describe value_counts diff shift
pct_change corr cov ffill bfill ohlc nlargest nsmallest unique agg aggregate transform get_group tolist
is_monotonic_increasing is_monotonic_decreasing"""
_PANDAS = """abs add add_prefix add_suffix agg aggregate align all any asof astype assign at_time between between_time
bfill clip combine_first compare copy corr corrwith count cov cummax cummin cumprod cumsum describe diff div divide
droplevel drop drop_duplicates dropna duplicated eq equals expanding ewm explode factorize ffill fillna filter first
first_valid_index floordiv ge get groupby gt head idxmax idxmin infer_objects interpolate isin isna isnull item items
iterrows itertuples keys kurt last last_valid_index le lt mask max mean median melt memory_usage min mod mode mul
multiply ne nlargest notna notnull nsmallest nunique pct_change pivot pivot_table pow prod product quantile query rank
reindex rename rename_axis reorder_levels replace reset_index resample rolling round rsub rdiv sample searchsorted
select_dtypes sem set_axis set_index shift skew sort_index sort_values squeeze stack std sub subtract sum swaplevel
tail take to_csv to_dict to_frame to_json to_list to_markdown to_numpy to_period to_string to_timestamp tolist
transpose truediv truncate tz_convert tz_localize unique unstack value_counts var where xs map"""
_INDEXES = """all any argmax argmin argsort astype copy day_name difference drop droplevel duplicated dropna equals
fillna get_level_values get_loc intersection isin isna max min month_name normalize notna nunique round ceil floor
sort_values strftime symmetric_difference to_frame to_list to_period to_series to_timestamp tolist tz_convert
tz_localize union unique value_counts isocalendar"""
_STRINGS = """capitalize casefold cat center contains count encode decode endswith extract extractall find findall
fullmatch get isalnum isalpha isdecimal isdigit islower isnumeric isspace istitle isupper join len ljust lower lstrip
match normalize pad partition removeprefix removesuffix replace rfind rjust rpartition rsplit rstrip slice
slice_replace split startswith strip swapcase title upper wrap zfill"""
_TIMES = """ceil date day_name floor isocalendar month_name normalize round strftime time to_period to_pytimedelta
total_seconds tz_convert tz_localize to_timestamp as_unit asfreq"""
_ARRAYS = """all any argmax argmin argpartition argsort astype ceil clip compress conj conjugate copy cumprod cumsum
diagonal flatten item max mean min nonzero prod ptp ravel reshape round searchsorted squeeze std sum swapaxes take
tolist trace transpose var"""
_POLARS = """abs all any arg_max arg_min bottom_k cast ceil clone corr count cum_sum describe diff drop drop_nans
drop_nulls equals estimated_size exp explode fill_nan fill_null filter floor gather_every get_column get_column_index
get_columns group_by has_nulls head height is_between is_duplicated is_empty is_finite is_in is_nan is_not_nan
is_not_null is_null is_sorted is_unique item iter_rows kurtosis last first len limit log max max_horizontal mean
mean_horizontal median min min_horizontal mode n_unique null_count partition_by pct_change pivot product quantile rank
reverse rolling_mean rolling_sum round row rows rows_by_key sample select select_seq shift skew slice sort std sum
sum_horizontal tail to_dict to_dicts to_arrow to_frame to_list to_numpy to_pandas top_k transpose unique unnest
unpivot value_counts var with_row_index write_csv write_json lengths len_chars to_lowercase to_uppercase contains
starts_with ends_with year month day hour minute second weekday strftime to_string date"""


class Indexed(Protocol):
    """Whatever has items; that a value has some is found out by asking."""

    def __getitem__(self, key: object, /) -> object: ...


_TABLE: tuple[tuple[str, str], ...] = (
    ("builtins.str", _TEXTS),
    ("builtins.bytes", _BYTES),
    ("builtins.int", _NUMBERS),
    ("builtins.float", _NUMBERS),
    ("builtins.complex", _NUMBERS),
    ("fractions.Fraction", _NUMBERS + " limit_denominator"),
    ("decimal.Decimal", _DECIMALS),
    ("datetime.date", _DATES),
    ("datetime.datetime", _DATES),
    ("datetime.time", _DATES),
    ("datetime.timedelta", _DATES),
    ("builtins.list", "copy count index"),
    ("builtins.tuple", "count index"),
    ("builtins.range", "count index"),
    ("builtins.dict", "copy get items keys values"),
    ("collections.Counter", "elements most_common total"),
    ("collections.deque", "copy count index"),
    ("builtins.set", _SETS),
    ("builtins.frozenset", _SETS),
    ("re.Match", "end expand group groupdict groups span start"),
    ("pathlib.PurePath", _PATHS),
    ("llx_magic.core.reply.Reply", "json"),
    ("pandas.DataFrame", _PANDAS),
    ("pandas.Series", _PANDAS),
    ("pandas.Index", _INDEXES),
    ("pandas.DatetimeIndex", _INDEXES),
    ("pandas.PeriodIndex", _INDEXES),
    ("pandas.TimedeltaIndex", _INDEXES),
    ("pandas.MultiIndex", _INDEXES),
    ("pandas.RangeIndex", _INDEXES),
    ("pandas.CategoricalIndex", _INDEXES),
    ("pandas.Categorical", "describe tolist value_counts unique isna"),
    ("pandas.Timestamp", _DATES + " " + _TIMES + " to_pydatetime"),
    ("pandas.Timedelta", _DATES + " " + _TIMES),
    ("pandas.Period", "strftime to_timestamp asfreq"),
    ("pandas.Interval", "overlaps"),
    ("pandas.api.typing.DataFrameGroupBy", _REDUCED),
    ("pandas.api.typing.SeriesGroupBy", _REDUCED),
    ("pandas.api.typing.Resampler", _REDUCED),
    ("pandas.api.typing.Rolling", _REDUCED),
    ("pandas.api.typing.Expanding", _REDUCED),
    ("pandas.api.typing.ExponentialMovingWindow", _REDUCED),
    ("pandas.core.strings.accessor.StringMethods", _STRINGS),
    ("pandas.core.indexes.accessors.DatetimeProperties", _TIMES),
    ("pandas.core.indexes.accessors.TimedeltaProperties", _TIMES),
    ("pandas.core.indexes.accessors.PeriodProperties", _TIMES),
    ("numpy.ndarray", _ARRAYS),
    ("numpy.generic", _ARRAYS + " is_integer"),
    ("polars.DataFrame", _POLARS),
    ("polars.Series", _POLARS),
    ("polars.dataframe.group_by.GroupBy", "all first head last len max mean median min n_unique quantile sum tail"),
    ("polars.series.string.StringNameSpace", _POLARS),
    ("polars.series.datetime.DateTimeNameSpace", _POLARS),
    ("pyarrow.Table", "column equals filter select slice sort_by take to_pandas to_pydict to_pylist"),
    ("pyarrow.RecordBatch", "column equals filter select slice take to_pandas to_pydict to_pylist"),
    ("pyarrow.ChunkedArray", "equals filter is_null is_valid slice take to_pandas to_pylist unique value_counts"),
    ("pyarrow.Array", "equals filter is_null is_valid slice take to_pandas to_pylist unique value_counts"),
    ("xarray.DataArray", "isel max mean median min sel std sum to_pandas to_series var item"),
    ("xarray.Dataset", "isel max mean median min sel std sum to_pandas to_dataframe var"),
)


# The keywords that methods may be given: those that choose what is read and how it looks. One that is not here is
# refused, for libraries add some that write, give memory away or open files: pyarrow's ``self_destruct``, pandas'
# ``inplace`` and ``storage_options``, numpy's ``out``.
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


def found(owner: object, name: str) -> Callable[..., object] | None:
    """Return the method of the value that an expression may call under this name; None where there is none."""
    kinds = type(owner).__mro__
    for known, allowed in _known(len(sys.modules)):
        if known in kinds and name in allowed:
            definer = next((kind for kind in kinds if name in vars(kind)), None)
            if definer is not None and kinds.index(definer) >= kinds.index(known):
                bound: Callable[..., object] = vars(definer)[name].__get__(owner, type(owner))
                return bound
    return None


def exists(owner: object, name: str) -> bool:
    """Return whether the value has anything of that name; nothing of it is run to find out."""
    nothing = object()
    return inspect.getattr_static(owner, name, nothing) is not nothing or hasattr(type(owner), "__getattr__")


def is_of(owner: object, *places: str) -> bool:
    """Return whether a value is of a class that lives in one of these places, or of one derived from it."""
    return any(_class_at(place) in type(owner).__mro__ for place in places)


def check_keywords(owner: object, name: str, keywords: Iterable[str]) -> None:
    """Refuse a keyword of an allowed method that is not known to be harmless.

    Raises NotDataError with the keyword.
    """
    free = any(name in names and is_of(owner, place) for place, names in _NAMED_BY_THE_USER)
    if free and is_of(owner, "builtins.str"):
        return
    unknown = sorted(each for each in keywords if each in _WRITING or not (free or each in _ALLOWED))
    if unknown:
        raise NotDataError(f"{name}() takes no {unknown[0]}= here")


@lru_cache(maxsize=1)
def _known(_modules: int) -> tuple[tuple[type, frozenset[str]], ...]:
    """Return the classes that are there now; looked up again once more is imported."""
    return tuple((kind, frozenset(names.split())) for place, names in _TABLE if (kind := _class_at(place)) is not None)


def _class_at(place: str) -> type | None:
    module, _, name = place.rpartition(".")
    kind = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return kind if isinstance(kind, type) else None
