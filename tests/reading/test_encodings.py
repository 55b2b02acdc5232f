"""An encoding is told only where no other one reads the text as well."""

from lockstep.reading.encodings import Reading, difference, line_of_utf8, plausible_readings

import pyarrow as pa
import pytest

TELLING = {
    "cp1252": "Müller Köln Weiß Düsseldorf Schäfer 20°C 5m² GROß",
    "mac-roman": "Müller Köln Weiß Düsseldorf Schäfer Würzburg Übel",
    "cp850": "Müller Köln Weiß Düsseldorf Schäfer Würzburg Übel",
    "cp1250": "Łukasz Łódź Żaneta Gdańsk Wrocław Poznań Kraków",
    "cp866": "Иван Москва Пётр Казань Анна Омск",
    "cp1253": "Γιώργος Αθήνα Μαρία Πάτρα Έλενα",
    "cp1256": "محمد القاهرة علي",
    "cp874": "กรุงเทพ สมชาย เชียงใหม่",
}
OPEN = {
    "cp1252": "Hélène François España São",
    "cp1254": "Ayşe İstanbul Çağla Muğla Şanlıurfa",  # noqa: RUF001
    "cp1250": "Plzeň Jiří Tomáš Ondřej",
    "cp1251": "Иван Москва Пётр Казань Анна",
    "koi8-r": "Иван Москва Пётр Казань Анна",
    "cp932": "田中 東京 鈴木 大阪",
    "gb18030": "北京 上海 王伟 李娜",
}


def table(words, encoding):
    lines = ["n,word", *(f"{i},{word}" for i, word in enumerate(words.split()))]
    return pa.py_buffer("\n".join(lines).encode(encoding)), [line for line in lines if not line.isascii()]


@pytest.mark.parametrize("encoding", TELLING)
def test_the_only_plausible_reading_is_the_right_one(encoding):
    data, lines = table(TELLING[encoding], encoding)
    (reading,) = plausible_readings(data)
    assert (reading.encodings[0], reading.lines) == (encoding, lines)


@pytest.mark.parametrize("encoding", OPEN)
def test_what_can_be_read_in_several_ways_is_not_decided(encoding):
    data, lines = table(OPEN[encoding], encoding)
    readings = plausible_readings(data)
    assert len(readings) > 1
    assert lines in [reading.lines for reading in readings]


def test_the_difference_is_shown_on_a_cell_where_all_readings_differ():
    data = pa.py_buffer("id,name\r\n1,Jörg\r\n2,España\r\n3,Zoë\r\n".encode("cp1252"))
    readings = [
        Reading([name], [f"1,J{o}rg", f"2,Espa{n}a", "3,Zoë"]) for name, o, n in [("a", "ö", "ñ"), ("b", "ö", "ń")]
    ]
    assert difference(data, readings) == "line 3 reads 'España' as a, 'Espańa' as b"
    many = readings + [Reading([name], ["1,J?rg", f"2,Espa{name}a", "3,Zoë"]) for name in "cde"]
    assert difference(data, many).endswith("'Espaca' as c, 'Espada' as d and in 1 more ways")


def test_lines_of_another_encoding():
    assert line_of_utf8(pa.py_buffer("a\nMüller\n".encode() + "Köln\n".encode("cp1252"))) == 2
    assert line_of_utf8(pa.py_buffer("a\nMüller\n".encode("cp1252"))) is None
