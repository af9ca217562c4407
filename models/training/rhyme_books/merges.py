"""How the 206 rhymes of 廣韻 fall together: into the 106 of 平水韵, and into the 19 部 of 词林正韵.

平水韵 (劉淵, 1252; in the form of 佩文詩韻, 1711): the merge is fixed. One asymmetry is meant: 嚴 儼 釅 go
with 鹽, but their entering tone 業 goes with 洽. 词林正韵 (戈載, 1821) splits five of the 106 again: 元
from 魂痕, 灰 from 咍 (as 廣韻 does), and by single characters 佳 卦 夬, and by rounding 泰.
"""

from __future__ import annotations

from models.training.rhyme_books.guangyun import Entry

Place = tuple[str, str]  # (division, group)

# Division → groups in order, each `name=rhymes` of 廣韻.
_PINGSHUI = {
    "上平": (
        "东=東 冬=冬鍾 江=江 支=支脂之 微=微 鱼=魚 虞=虞模 齐=齊 佳=佳皆 灰=灰咍 真=眞諄臻 "
        "文=文欣 元=元魂痕 寒=寒桓 删=刪山"
    ),
    "下平": (
        "先=先仙 萧=蕭宵 肴=肴 豪=豪 歌=歌戈 麻=麻 阳=陽唐 庚=庚耕清 青=青 蒸=蒸登 尤=尤侯幽 "
        "侵=侵 覃=覃談 盐=鹽添嚴 咸=咸銜凡"
    ),
    "上声": (
        "董=董 肿=腫 讲=講 纸=紙旨止 尾=尾 语=語 麌=麌姥 荠=薺 蟹=蟹駭 贿=賄海 轸=軫準 吻=吻隱 "
        "阮=阮混很 旱=旱緩 潸=潸產 铣=銑獮 筱=篠小 巧=巧 皓=晧 哿=哿果 马=馬 养=養蕩 梗=梗耿靜 "
        "迥=迥拯等 有=有厚黝 寝=寑 感=感敢 俭=琰忝儼 豏=豏檻范"
    ),
    "去声": (
        "送=送 宋=宋用 绛=絳 寘=寘至志 未=未 御=御 遇=遇暮 霁=霽祭 泰=泰 卦=卦怪夬 队=隊代廢 "
        "震=震稕 问=問焮 愿=願慁恨 翰=翰換 谏=諫襇 霰=霰線 啸=嘯笑 效=效 号=号 个=箇過 祃=禡 "
        "漾=漾宕 敬=映諍勁 径=徑證嶝 宥=宥候幼 沁=沁 勘=勘闞 艳=豔㮇釅 陷=陷鑑梵"
    ),
    "入声": (
        "屋=屋 沃=沃燭 觉=覺 质=質術櫛 物=物迄 月=月沒 曷=曷末 黠=黠鎋 屑=屑薛 药=藥鐸 陌=陌麥昔 "
        "锡=錫 职=職德 缉=緝 合=合盍 叶=葉怗 洽=洽狎乏業"
    ),
}

# Level, rising and departing, or entering; 佳 卦 泰 stand where most of their characters are.
_CILIN = (
    "東冬鍾 董腫送宋用",
    "江陽唐 講養蕩絳漾宕",
    "支脂之微齊灰 紙旨止尾薺賄寘至志未霽祭隊廢",
    "魚虞模 語麌姥御遇暮",
    "佳皆咍 蟹駭海泰卦怪夬代",
    "眞諄臻文欣魂痕 軫準吻隱混很震稕問焮慁恨",
    "元寒桓刪山先仙 阮旱緩潸產銑獮願翰換諫襇霰線",
    "蕭宵肴豪 篠小巧晧嘯笑效号",
    "歌戈 哿果箇過",
    "麻 馬禡",
    "庚耕清青蒸登 梗耿靜迥拯等映諍勁徑證嶝",
    "尤侯幽 有厚黝宥候幼",
    "侵 寑沁",
    "覃談鹽添嚴咸銜凡 感敢琰忝儼豏檻范勘闞豔㮇釅陷鑑梵",
    "屋沃燭",
    "覺藥鐸",
    "質術櫛陌麥昔錫職德緝",
    "物迄月沒曷末黠鎋屑薛葉怗",
    "合盍業洽狎乏",
)
# The characters of 佳 卦 夬 that stand with 麻 in the tenth 部, in every form that 廣韻 prints; of them 佳
# 涯 stand in the fifth too.
_TENTH = frozenset("佳涯娃哇洼蛙鼃媧蝸騧緺卦挂掛詿罣畫絓話")
_FIFTH_TOO = frozenset("佳涯")
_DIGITS = "一二三四五六七八九"


def numeral(number: int) -> str:
    """1 to 99 in Chinese, e.g. 二十三."""
    tens, ones = divmod(number, 10)
    return (
        (_DIGITS[tens - 1] if tens > 1 else "") + ("十" if tens else "") + (_DIGITS[ones - 1] if ones else "")
    )


def _numbered(division: str, groups: str) -> list[tuple[str, str, str]]:
    """(division, numbered name, rhymes) of each group of a division."""
    pairs = (group.split("=") for group in groups.split())
    return [(division, numeral(i) + name, rhymes) for i, (name, rhymes) in enumerate(pairs, start=1)]


_PINGSHUI_ROWS = [row for division, groups in _PINGSHUI.items() for row in _numbered(division, groups)]
_PINGSHUI_OF = {rhyme: (division, name) for division, name, rhymes in _PINGSHUI_ROWS for rhyme in rhymes}
PINGSHUI: tuple[Place, ...] = tuple((division, name) for division, name, _ in _PINGSHUI_ROWS)


def _cilin_rows() -> list[tuple[str, str, str]]:
    rows = []
    for i, parts in enumerate(_CILIN, start=1):
        divisions = ("平声", "仄声") if " " in parts else ("入声",)
        rows += [(d, f"第{numeral(i)}部", rhymes) for d, rhymes in zip(divisions, parts.split(), strict=True)]
    return rows


_CILIN_OF = {rhyme: (division, name) for division, name, rhymes in _cilin_rows() for rhyme in rhymes}
CILIN: tuple[Place, ...] = tuple(
    (division, name)
    for wanted in ("平声", "仄声", "入声")
    for division, name, _ in _cilin_rows()
    if division == wanted
)


def pingshui_place(entry: Entry) -> Place:
    """The place in 平水韵, e.g. (下平, 十一尤). Raises KeyError for a rhyme that is none of the 206."""
    return _PINGSHUI_OF[entry.rhyme]


def cilin_places(entry: Entry) -> tuple[Place, ...]:
    """The places in 词林正韵, e.g. (平声, 第十二部). Raises KeyError for a rhyme that is none of the 206."""
    division, group = _CILIN_OF[entry.rhyme]
    if entry.rhyme in "佳卦夬" and entry.character in _TENTH:
        tenth = (division, "第十部")
        return ((division, group), tenth) if entry.character in _FIFTH_TOO else (tenth,)
    if entry.rhyme == "泰" and entry.character == "外":
        return (division, "第三部"), (division, group)
    if entry.rhyme == "泰" and entry.rounded:
        return ((division, "第三部"),)
    return ((division, group),)
