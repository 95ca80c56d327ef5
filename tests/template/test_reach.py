"""Expressions read data: what people write works, and nothing that writes, opens or runs is within reach."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import functools
import io
import itertools
import math
import os
import pathlib
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pytest

from llx_magic.core.reply import Reply
from llx_magic.template.errors import InterpolationError
from llx_magic.template.template import Template


def rendered(text, namespace, mode="data"):
    return Template(text, mode).render(namespace).text


def refusal(expression, mode="data", **namespace):
    with pytest.raises(InterpolationError) as caught:
        rendered(f"{{{{ {expression} }}}}", namespace, mode)
    message = str(caught.value)
    assert message.endswith("(nothing was sent)")
    assert len(message.splitlines()) == 1
    assert len(message) <= 300
    return message


def reply(text):
    return Reply(
        text=text, backend="b", model="m", usage=None, attempts=1, seconds=1.0, ttft=None, finish_reason="stop"
    )


@dataclasses.dataclass
class Client:
    """As users have them: an attribute, a property, methods that act."""

    url: str = "https://a.example"
    acted: list = dataclasses.field(default_factory=list)

    @property
    def host(self):
        return self.url.rpartition("/")[2]

    def fetch(self, *_given):
        self.acted.append("fetch")
        return "fetched"

    def __call__(self, *_given):
        self.acted.append("call")
        return "called"


# What people write


def notebook():
    sales = pd.DataFrame(
        {
            "city": ["Oslo", "Bergen", "Oslo", "Rome"],
            "units": [120, 80, 30, 50],
            "price": [1.5, 2.25, 1.5, 9.99],
            "day": pd.to_datetime(["2024-01-05", "2024-01-06", "2024-02-01", "2024-02-03"]),
        }
    )
    return {
        "sales": sales,
        "people": pl.DataFrame({"name": ["Ada", "Bo"], "age": [36, 17]}),
        "arr": np.array([[0.1, 0.2], [0.3, 0.4]]),
        "today": dt.date(2024, 1, 5),
        "then": dt.datetime.fromisoformat("2024-01-05T10:30:00"),
        "text": "First line.\nSecond line, longer.",
        "words": ["red", "green", "blue"],
        "config": {"model": {"name": "m", "layers": [1, 2, 3]}, "items": 5},
        "rows": [{"name": "Ada", "score": 0.75}, {"name": "Bo", "score": 0.5}],
        "price": Decimal("19.90"),
        "path": pathlib.PurePosixPath("/data/in.csv"),
        "ratio": 0.1234,
        "answer": reply('```json\n{"a": [1, 2]}\n```'),
        "error": ValueError("no such column"),
        "found": re.search(r"(\d+)", "order 42"),
        "tags": {"b", "a"},
        "counts": collections.Counter("abca"),
        "client": Client(),
        "none": None,
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Summarise: {{ sales }}", "| city | units | price | day |"),
        ("Look at {{ sales.head(2) }}", "| Bergen | 80 | 2.25 | 2024-01-06 |"),
        ("{{ sales.describe() }}", "| mean | 70.0 | 3.81 |"),
        (
            "Columns: {{ sales.columns.tolist() }}, shape {{ sales.shape }}",
            "['city', 'units', 'price', 'day'], shape (4, 4)",
        ),
        ("{{ sales.groupby('city')['units'].sum().sort_values(ascending=False) }}", "| Oslo | 150 |"),
        ("{{ sales.groupby('city').agg({'units': 'sum', 'price': ['min', 'max']}) }}", "| Oslo | 150 | 1.5 | 1.5 |"),
        ("{{ sales.groupby('city').agg(total=('units', 'sum')) }}", "| Bergen | 80 |"),
        ("{{ sales[sales['units'] > 60] }}", "| Oslo | 120 | 1.5 | 2024-01-05 |"),
        ("{{ sales.query('units > 60 and city == \"Oslo\"')[['city', 'units']] }}", "| Oslo | 120 |"),
        ("{{ sales.loc[0:1, 'city'] }}", "| Bergen |"),
        ("{{ sales.iloc[-1]['city'] }} and {{ sales['city'].unique() }}", "Rome and ['Oslo', 'Bergen', 'Rome']"),
        ("{{ sales['city'].value_counts() }}", "| Oslo | 2 |"),
        ("{{ sales['city'].str.upper().str.replace('OSLO', 'OSL') }}", "| OSL |"),
        ("{{ sales['day'].dt.strftime('%d %b') }} {{ sales['day'].max() }}", "| 05 Jan |"),
        ("{{ sales.set_index('day').resample('MS')['units'].sum() }}", "| 2024-01-01 | 200 |"),
        ("{{ sales.pivot_table(index='city', values='units', aggfunc='sum') }}", "| Oslo | 150 |"),
        ("{{ sales.dtypes }} {{ sales.isna().sum() }}", "| city | 0 |"),
        ("{{ sales.to_csv(index=False) }}", "Oslo,120,1.5,2024-01-05"),
        ("{{ sales[['units', 'price']].corr().round(2) }}", "| units | 1.0 | -0.33 |"),
        ("{{ sales.units.astype(float).mean() }} {{ sales.units.sum() / len(sales) }}", "70.0 70.0"),
        ("{{ sales.units.rolling(2).mean() }} {{ sales.nlargest(1, 'units') }}", "| 100.0 |"),
        ("{{ sales.assign(kind='shop').tail(1).to_numpy().tolist()[0][-1] }}", "shop"),
        ("{{ sales.agg('mean', numeric_only=True) }}", "| units | 70.0 |"),
        ("{{ people.to_pandas()['age'].to_numpy().sum() }}", "53"),
        ("{{ sales.to_dict('records')[0]['city'] }}", "Oslo"),
        ("{{ people }} {{ people.filter(people['age'] > 18)['name'].to_list() }}", "['Ada']"),
        ("{{ people.describe() }} {{ people['age'].mean() }} {{ people.columns }}", "['name', 'age']"),
        ("{{ people.sort('age').to_dicts() }}", "[{'name': 'Bo', 'age': 17}, {'name': 'Ada', 'age': 36}]"),
        ("{{ people.select('name').rows() }} {{ people.height }}", "[('Ada',), ('Bo',)] 2"),
        ("{{ arr.mean() }} {{ arr.shape }} {{ arr.T.tolist() }}", "0.25 (2, 2) [[0.1, 0.3], [0.2, 0.4]]"),
        (
            "{{ arr[0, 1] }} {{ arr[:, 0] * 2 }} {{ arr.sum(axis=0).round(1) }}",
            "0.2 array of shape (2,), dtype float64: [0.2 0.6]",
        ),
        ("Today is {{ today }}, {{ today.strftime('%A') }}", "Today is 2024-01-05, Friday"),
        ("{{ then.isoformat() }} {{ (then.date() - today).days }}", "2024-01-05T10:30:00 0"),
        (
            "{{ '%.1f' % (ratio * 100) }}% or {{ '{:.1%}'.format(ratio) }} or {{ ratio|round(2) }}",
            "12.3% or 12.3% or 0.12",
        ),
        ("{{ '{:,}'.format(1234567) }} {{ '%05d'|format(42) }} {{ '%(a)s'|format(a=1) }}", "1,234,567 00042 1"),
        (
            "{{ text.splitlines()[0] }} {{ text[:5] }} {{ text|length }} {{ text|upper|truncate(9) }}",
            "First line. First 32 FIRST...",
        ),
        ("{{ ', '.join(words) }} {{ words|join(' / ') }} {{ words[::-1] }}", "red, green, blue red / green / blue"),
        (
            "{{ words|sort|first }} {{ sorted(words, key=len)[0] }} {{ sorted(words, key=str.lower) }}",
            "blue red ['blue', 'green', 'red']",
        ),
        ("{{ config.model.name }} {{ config['model']['layers']|sum }} {{ config.items }}", "m 6 5"),
        ("{{ config|tojson(indent=2) }}", '"layers": [\n'),
        (
            "{{ {'n': sales.units.sum(), 'd': today, 'a': arr[0]}|tojson }}",
            '{"n": 280, "d": "2024-01-05", "a": [0.1, 0.2]}',
        ),
        ("{{ config.get('missing', 'none') }} {{ config.keys() }} {{ dict(a=1) }}", "none ['model', 'items'] {'a': 1}"),
        ("{{ rows|map(attribute='name')|join(', ') }} {{ rows|sum(attribute='score') }}", "Ada, Bo 1.25"),
        ("{{ rows|selectattr('score', 'gt', 0.6)|map(attribute='name')|list }}", "['Ada']"),
        ("{{ (rows|sort(attribute='score', reverse=true))[0].name }}", "Ada"),
        ("{{ 'many' if len(words) > 2 else 'few' }} {{ none is None }} {{ none or 'nothing' }}", "many True nothing"),
        (
            "{{ price * 2 }} {{ price.quantize(price) }} {{ round(ratio, 2) }} {{ 7 // 2 }} {{ 2 ** 10 }}",
            "39.80 19.90 0.12 3 1024",
        ),
        ("{{ path.name }} {{ path.with_suffix('.txt') }} {{ path.parent / 'x' }}", "in.csv /data/in.txt /data/x"),
        ("{{ answer }} {{ answer.json()['a'] }} {{ answer.code.blocks[0].text }}", "[1, 2]"),
        (
            "{{ error }} {{ found.group(1) }} {{ tags|sort }} {{ counts.most_common(1) }}",
            "no such column 42 ['a', 'b'] [('a', 2)]",
        ),
        ("{{ client.url }} {{ client.host }}", "https://a.example a.example"),
        (
            "{{ sum(range(10)) }} {{ list(zip(words, range(3))) }} {{ max(words) }}",
            "45 [('red', 0), ('green', 1), ('blue', 2)] red",
        ),
        ("{{ 'red' in words and not 1 > 2 }} {{ 1 < 2 < 3 }} {{ 'a' ~ 0.1 }}", "True True a0.1"),
    ],
)
def test_what_people_write_works(text, wanted):
    assert wanted in rendered(text, notebook())


# What is out of reach


@pytest.mark.parametrize(
    ("expression", "namespace"),
    [
        ("client.fetch()", {"client": Client()}),
        ("client()", {"client": Client()}),
        ("clean(text)", {"clean": str.strip, "text": "a"}),
        ("df.to_pickle('x')", {"df": pd.DataFrame()}),
        ("np.mean([1])", {"np": np}),
        ("math.pi", {"math": math}),
        ("pl.col('x')", {"pl": pl}),
        ("Client().url", {"Client": Client}),
        ("(client or 1)()", {"client": Client()}),
        ("[client][0]()", {"client": Client()}),
        ("client['fetch']()", {"client": Client()}),
        ("{'f': client}.f()", {"client": Client()}),
        ("open('f').read()", {"open": open}),
        ("get_ipython().system('ls')", {"get_ipython": lambda: None}),
    ],
)
def test_a_call_of_anything_else_is_refused_with_the_way_out(expression, namespace):
    message = refusal(expression, **namespace)
    assert "a prompt only reads data; assign it first, for example x = " in message
    assert f"x = {expression}, then {{{{ x }}}}" in message


def test_nothing_of_the_users_ran_for_a_refused_call():
    client = Client()
    for expression in ("client.fetch()", "client()", "[1]|map(client)|list", "sorted([2], key=client)"):
        refusal(expression, client=client)
    assert client.acted == []


INDEXED_BY_A_CALL = ["x[act]", "x.loc[act]", "x.loc[:, act]", "x.loc[(act,)]", "x.iloc[act]", "x.a[act]"]
INDEXED_BY_A_CALL += ["x.a.iloc[act]", "x[[act]]", "x.loc[act:act]", "[x]|map(attribute=act)|list"]


@pytest.mark.parametrize("expression", INDEXED_BY_A_CALL)
def test_an_index_that_can_be_called_is_refused_before_a_library_calls_it(expression):
    client = Client()
    refusal(expression, x=pd.DataFrame({"a": [5]}), act=client)
    refusal(expression, x=pd.DataFrame({"a": [5]}), act=functools.partial(client.fetch, 1))
    assert client.acted == []


def test_the_line_is_as_it_is_promised():
    assert refusal("client.fetch()", client=Client()) == (
        "{{ client.fetch() }}: a prompt only reads data; assign it first, for example x = client.fetch(), "
        "then {{ x }} (nothing was sent)"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("os", os), ("open", open), ("f", lambda: 1), ("Client", Client), ("fetch", Client().fetch), ("cut", str.strip),
        ("part", list[int]), ("_hidden", 1), ("__builtins__", {"open": open}), ("_ih", [""]), ("_i1", "x"),
    ],
)  # fmt: skip
def test_a_name_that_is_no_data_is_out_of_reach(name, value):
    message = refusal(name, **{name: value})
    assert "is not defined" in message or "a prompt only reads data" in message


@pytest.mark.parametrize("name", ["_", "__", "___", "_7", "_llx"])
def test_the_last_outputs_are_data(name):
    assert rendered(f"{{{{ {name} }}}}", {name: 5}) == "5"


METHODS_THAT_ACT = {
    "df": (
        pd.DataFrame({"a": [1, 2]}),
        """to_csv('F') to_csv(path_or_buf='F') to_json('F') to_string('F') to_string(buf='F') to_markdown(buf='F')
        to_pickle('F') to_parquet('F') to_sql('t','sqlite://') to_excel('F') to_html('F') to_hdf('F','k') to_latex('F')
        to_feather('F') to_stata('F') to_xml('F') to_clipboard() eval('a') eval('@x') pipe(print) apply('to_csv')
        apply(len) agg('to_csv') agg(['to_pickle']) agg({'a':'to_csv'}) aggregate('to_csv',0,'F') agg('sum',0,'F')
        transform('to_csv') agg(func='to_pickle') agg(x=('a','to_csv')) map(len) plot() plot.line() hist() boxplot()
        insert(0,'x',1) pop('a') update(x) query('@x') query('a.max()>1') query('__import__("os")') query('`a`')
        query('a>1',engine='python') query('a>1',inplace=true) drop(columns='a',inplace=true) fillna(0,inplace=true)
        sort_values('a',inplace=true) info() style.to_html('F') set_flags() at.__setitem__(0,1) merge(x) join(x)
        groupby('a').apply('to_csv') groupby('a').pipe(len) groupby('a').agg('to_csv') groupby('a').agg(['eval'])
        pivot_table(aggfunc='to_csv') rolling(1).apply(len) rolling(1).agg('to_csv') resample('D').apply('x')
        a.map(x) a.apply('to_csv') a.agg('to_csv') a.to_csv('F') a.to_pickle('F') a.str.cat.__call__() a.update(x)
        sample(n=3,replace=true) to_csv(index=false,path_or_buf='F') to_csv(**{'path_or_buf':'F'}) to_csv(*['F'])
        __class__() __reduce__() _repr_html_() index.map(x) values.tofile('F') values.dump('F') values.sort()
        values.fill(0) values.itemset(0) values.put(0,1) values.resize(1) values.setflags() values.partition(0)
        values.clip(0,1,values) values.max(0,values) values.round(0,values) values.sum(out=values) values.byteswap(true)
        to_string(formatters=[act]) to_string(formatters={'a':act}) groupby([act]).sum() sort_values('a',key=act)
        rename(columns=act) a.map(act) a.str.replace('a',act) groupby(act).sum()
        index.tz_localize('dateutil//etc/hosts')
        index.tz_localize(tz='../../etc/hosts') index.tz_localize('/etc/hosts') index.tz_localize('file:///etc/hosts')
        a.astype('datetime64[ns,dateutil//etc/hosts]') astype({'a':'datetime64[ns,dateutil//etc/hosts]'})
        astype(dtype={'a':'datetime64[ns,/etc/hosts]'}) a.to_numpy(dtype='datetime64[ns,dateutil//etc/hosts]')
        select_dtypes('datetime64[ns,dateutil//etc/hosts]') a.astype(x.a) a.agg(axis='hist') agg(axis='hist')
        groupby('a').a.agg(axis='hist') groupby('a').agg(axis='hist') a.agg(('hist','sum')) a.agg(x=('hist','sum'))
        groupby('a').a.agg(('hist','sum')) agg({'a':('hist','sum')}) agg(numeric_only='hist') agg(func=('hist','sum'))
        a.clip(0,1,inplace=true) a.astype(int,copy=false) to_csv(storage_options={}) to_csv(compression='zip')
        a.replace(1,2,inplace=true) agg('sum',engine='numba') values.sum(0,out=values)
        a.values.astype('U100000000') a.astype('S100000000') expanding().apply(len) ewm(1).pipe(x)""",
    ),
    "pf": (
        pl.DataFrame({"a": [1, 2]}),
        """write_csv('F') write_csv(file='F') write_json('F') write_parquet('F') write_ipc('F') write_excel('F')
        write_database('t','sqlite://') sql('select 1') map_rows(x) pipe(x) serialize('F') lazy().sink_csv('F')
        insert_column(0,x) replace_column(0,x) drop_in_place('a') extend(x) shrink_to_fit(in_place=true)
        a.map_elements(x) glimpse() to_init_repr() style.save('F') plot.line() hstack(x,in_place=true)
        sample(n=9,with_replacement=true) join(x) to_pandas(self_destruct=true) to_pandas(use_threads=true)""",
    ),
    "at": (pa.table({"a": [1]}), """to_pandas(self_destruct=true) to_pandas(split_blocks=true)
        to_pandas(null,null) to_pandas(use_threads=false) column('a').to_pandas(memory_pool=null)
        to_pandas(**{'self_destruct':true}) sort_by('a',memory_pool=null)
        to_pandas().to_csv('F') to_batches() set_column(0,'a',x) __dataframe__() drop('a')"""),
    "xs": ([3, 1], "sort() append(1) clear() extend([1]) insert(0,1) pop() remove(1) reverse() __setitem__(0,1)"),
    "d": ({"a": 1}, "update({'b':1}) clear() pop('a') popitem() setdefault('b',1) __delitem__('a') fromkeys('ab')"),
    "s": ({1}, "add(2) clear() discard(1) pop() remove(1) update([2])"),
    "dq": (collections.deque([1]), "append(1) clear() pop() rotate(1)"),
    "c": (collections.Counter("a"), "update('b') subtract('a') clear()"),
    "p": (
        pathlib.Path("F"),
        "touch() read_text() write_text('x') open() unlink() mkdir() exists() iterdir() cwd() glob('*')",
    ),
    "f": (io.StringIO("x"), "read() write('y') close()"),
    "t": ("text", "translate({1:2}) maketrans('a','b') __class__() __add__('x')"),
    "n": (np.float64(1), "tofile('F') dump('F') setflags() __reduce__()"),
    "g": ((each for each in [1]), "send(1) close() throw(1) gi_frame.clear()"),
    "e": (ValueError("x"), "with_traceback(x) add_note('x')"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name, (_, calls) in METHODS_THAT_ACT.items() for call in calls.split()]
)
def test_no_method_that_writes_runs_or_changes_is_within_reach(name, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = METHODS_THAT_ACT[name][0]
    before = repr(value)
    refusal(f"{name}.{call}", **{name: value, "x": pd.DataFrame({"a": [5]}), "act": Client()})
    assert list(tmp_path.iterdir()) == []
    assert repr(value) == before


@pytest.mark.parametrize(
    "expression",
    [
        "xs|attr('sort')", "xs|map('attr', '__class__')|list", "xs|map(attribute='__class__')|list",
        "[xs]|map(attribute='sort')|list", "[xs]|map(attribute='sort.__self__')|list", "xs|groupby('__class__')",
        "xs|selectattr('__class__')|list", "xs|sum(attribute='__class__')", "xs|join(attribute='__class__')",
        "xs|sort(attribute='__class__')", "xs|unique(attribute='__doc__')", "xs|min(attribute='__class__')",
        "'{0.__class__}'.format(xs)", "'{0.__class__.__mro__}'.format(xs)", "'{a.__class__}'.format(a=xs)",
        "'{0[0].__class__}'.format(xs)", "'{a.__class__}'.format_map({'a': xs})", "'{0.sort}'.format(xs)",
        "'%s'.__mod__(xs)", "xs.__class__", "xs['__class__']", "xs.sort", "df.to_csv", "str.format", "len.__self__",
        "err.__traceback__", "err.__traceback__.tb_frame.f_globals", "gen.gi_frame", "gen.gi_code", "co.cr_frame",
        "fs[0]", "fs|first", "ns.open", "ns['open']", "box.os", "box.os.system('x')", "box.load", "fs[0](1)",
        "(fs|first)(1)", "fs|map('__call__')|list", "xs|select(fs[0])|list", "xs|map(fs[0])|list", "caller()",
        "self", "loop", "super()", "range.__class__", "(1).__class__", "''.__class__.__mro__[1].__subclasses__()",
        "xs.__getattribute__('sort')", "df.loc.__class__", "df.iloc.obj.to_csv('F')", "df.index._data", "df._mgr",
        "dict(a=open)", "[open]", "str(open)", "sorted(xs, key=open)", "sorted(xs, key=fs[0])", "max(xs, key=box.load)",
    ],
)  # fmt: skip
def test_no_trick_reaches_what_is_no_data(expression):
    try:
        raise ValueError("x")
    except ValueError as error:
        err = error

    async def co():
        pass

    box = type("Box", (), {"os": os, "load": lambda self: open})()
    coroutine = co()
    namespace = {
        "xs": [3, 1], "df": pd.DataFrame({"a": [1]}), "err": err, "gen": (i for i in [1]), "co": coroutine,
        "fs": [os.system], "ns": {"open": open}, "box": box, "open": open,
    }  # fmt: skip
    with pytest.raises(InterpolationError):
        rendered(f"{{{{ {expression} }}}}", namespace)
    coroutine.close()


def test_a_subclass_that_overrides_a_method_runs_nothing():
    ran = []

    class Frame(pd.DataFrame):
        def head(self, *_given):  # type: ignore[misc]
            ran.append("head")

    class Text(str):
        __slots__ = ()

        def upper(self):
            ran.append("upper")

    frame = Frame({"a": [1]})
    refusal("f.head()", f=frame)
    refusal("t.upper()", t=Text("a"))
    assert rendered("{{ f.tail(1) }} {{ t.lower() }}", {"f": frame, "t": Text("A")}) == "| a |\n| --- |\n| 1 |\n\n a"
    assert ran == []


@pytest.mark.parametrize(
    "expression",
    [
        "tsu.astimezone('dateutil//etc/hosts')", "tsu.tz_convert('dateutil//etc/hosts')",
        "tsu.astimezone(tz='/etc/hosts')", "tsu.tz_convert(tz='Europe/../../etc/hosts')",
        "tsu.astimezone('zoneinfo//etc/hosts')", "tsu.replace(tzinfo='dateutil//etc/hosts')",
        "days.tz_convert('dateutil//etc/hosts')", "days.astype('datetime64[ns, dateutil//etc/hosts]')",
    ],
)  # fmt: skip
def test_no_time_zone_opens_a_file(expression):
    days = pd.date_range("2024-01-01", periods=2, tz="UTC")
    message = refusal(expression, tsu=days[0], days=days)
    assert "names no time zone" in message or "reads no file" in message or "is no type" in message


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Oslo", "America/Argentina/Ushuaia", "Etc/GMT+5", "+01:00", "UTC-03:30"]
)
def test_a_time_zone_by_its_name_or_offset_is_one(zone):
    days = pd.date_range("2024-01-01", periods=2, tz="UTC")
    text = f"{{{{ tsu.astimezone({zone!r}) }}}} {{{{ days.tz_convert({zone!r}).shape }}}}"
    assert rendered(text, {"tsu": days[0], "days": days}).endswith("(2,)")


@pytest.mark.parametrize(
    "expression",
    [
        "dd['x']", "dd.x", "'%(y)s' % dd", "'{q[x]}'.format(q=dd)", "'{q.x}'.format(q=dd)", "'%(y)s'|format(**dd)",
        "'{x}'.format_map(dd)", "s.map(dd)", "s.replace(dd)", "chain['x']", "chain.x", "chain['k']", "dict(chain)",
        "chain|dictsort", "[dd]|map(attribute='x')|list", "[dd]|sum(attribute='x')", "[[dd]]|map(attribute='0.x')|list",
        "nest.a.x", "nest['a']['x']", "'{q[a][x]}'.format(q=nest)", "own['x']", "own.x", "chain == {}",
    ],
)  # fmt: skip
def test_looking_up_a_key_that_is_missing_makes_none(expression):
    made = []

    class Own(dict):
        def __missing__(self, key):
            made.append(key)
            return key

    dd = collections.defaultdict(lambda: made.append("dd"), a=1)
    namespace = {
        "dd": dd, "chain": collections.ChainMap(dd, {"k": 1}), "nest": {"a": dd}, "own": Own(a=1),
        "s": pd.Series(["x", "y"]),
    }  # fmt: skip
    with contextlib.suppress(InterpolationError):
        rendered(f"{{{{ {expression} }}}}", namespace)
    assert made == []
    assert dict(dd) == {"a": 1}


def test_what_is_in_a_mapping_that_makes_items_is_found():
    dd = collections.defaultdict(list, a=1)
    chain = collections.ChainMap(dd, {"k": 2})
    text = "{{ dd['a'] }} {{ dd.a }} {{ chain.k }} {{ chain['a'] }} {{ '%(a)s' % dd }} {{ n['z'] }}"
    assert rendered(text, {"dd": dd, "chain": chain, "n": collections.Counter("a")}) == "1 1 2 1 1 0"


def test_the_environment_of_the_program_is_no_data():
    assert "the environment of this program" in refusal("environ", environ=os.environ)
    assert "the environment of this program" in refusal("box.e", box=type("Box", (), {"e": os.environ})())


def test_an_object_that_says_it_is_a_text_has_no_methods_of_one():
    ran = []

    class Liar:
        @property  # type: ignore[misc]
        def __class__(self):
            return str

        def upper(self):
            ran.append(1)

        def __getattr__(self, name):
            return lambda *_given: ran.append(name)

    refusal("liar.upper()", liar=Liar())
    refusal("liar.anything()", liar=Liar())
    refusal("liar.anything", liar=Liar())
    assert ran == []


def test_a_method_put_onto_an_object_is_not_called():
    frame = pd.DataFrame({"a": [1]})
    object.__setattr__(frame, "head", lambda *_given: "mine")
    assert rendered("{{ frame.head() }}", {"frame": frame}).startswith("| a |")


def test_a_missing_method_is_named_as_missing():
    assert "has no attribute 'uper'" in refusal("t.uper()", t="a")
    assert "'dff' is not defined; did you mean df?" in refusal("dff.head()", df=pd.DataFrame())


def test_a_key_comes_before_a_method_of_the_same_name():
    assert rendered("{{ d.items }} {{ df.count }}", {"d": {"items": 5}, "df": pd.DataFrame({"count": [1]})}).startswith(
        "5"
    )


def test_any_reaches_what_the_notebook_has():
    client = Client()
    assert rendered(
        "{{ client.fetch() }} {{ client() }} {{ math.floor(2.5) }}", {"client": client, "math": math}, "any"
    ) == ("fetched called 2")
    assert client.acted == ["fetch", "call"]
    assert "unsafe" in refusal("client.__class__", "any", client=client)


@pytest.mark.parametrize("mode", ["data", "any"])
def test_an_iterator_is_not_used_up_in_silence(mode):
    numbers = itertools.count()
    if mode == "data":
        assert "is read only once" in refusal("list(numbers)", numbers=numbers)
        assert "is read only once" in refusal("numbers|first", numbers=numbers)
        assert "is read only once" in refusal("'a' in numbers", numbers=numbers)
    assert "is read only once" in refusal("numbers", mode, numbers=numbers)


@pytest.mark.parametrize(
    ("expression", "way_out"),
    [
        ("open('x.txt')", "{{ file('x.txt') }} puts it into the prompt"),
        ("io.open('x.txt', 'rb')", "{{ file('x.txt') }} puts it into the prompt"),
        ("Image.open('x.png')", "{{ image('x.png') }} puts it into the prompt"),
        ("open('/x.txt')", "p = pathlib.Path('/x.txt'), then {{ file(p) }}"),
        ("open('.env')", "p = pathlib.Path('.env'), then {{ file(p) }}"),
        ("open(file='../x.txt')", "p = pathlib.Path('../x.txt'), then {{ file(p) }}"),
        ("open(name)", "p = pathlib.Path(name), then {{ file(p) }}"),
        ("Image.open('/x.png')", "p = pathlib.Path('/x.png'), then {{ image(p) }}"),
        ("path.open()", "x = path.open().read(), then {{ x }}"),
        ("os.popen('ls')", "x = os.popen('ls').read(), then {{ x }}"),
    ],
)
def test_an_open_file_which_no_name_could_hold_either_is_told_with_what_works(expression, way_out):
    names = {"open": open, "io": io, "os": os, "Image": PIL.Image, "path": pathlib.Path("x.txt"), "name": "/x.txt"}
    assert way_out in refusal(expression, **names)
