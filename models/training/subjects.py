"""What a poem is about, read from its title."""

from __future__ import annotations

# Subject, and the words in a title that stand for it. The first subject found counts: what a poem is about
# comes before whom it is for, and narrow ones before wide ones.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "哀挽": ("挽", "悼", "哭", "哀辞"),
    "禅理": ("颂古", "偈", "颂", "禅", "赞"),
    "怀古": ("怀古", "咏史", "故城", "故宫", "遗址", "庙", "祠", "墓"),
    "送别": ("送", "饯", "别"),
    "题画": ("画", "图", "题壁"),
    "花木": (*"梅菊荷莲竹柳桃杏桂兰松花", "牡丹", "海棠", "木犀", "芙蓉", "芍药"),
    "寺观": ("寺", "院", "僧", "上人", "精舍", "道士"),
    "登览": tuple("登楼台亭阁望眺"),
    "行旅": ("道中", "途中", "舟", "泊", "宿", "旅", "渡", "早发", "晓发", "晓行", "早行"),
    "闲居": ("闲居", "山居", "村居", "幽居", "隐", "田", "村", "园"),
    "夜月": ("夜", "月", "中秋", "七夕"),
    "春": ("春", "元日", "上元", "寒食", "清明"),
    "秋": ("秋", "九日", "重阳", "重九"),
    "冬": ("冬", "雪", "寒", "除夜"),
    "山水": tuple("山水溪湖江泉瀑峰石潭海"),
    "寄赠": ("寄", "赠", "呈", "酬", "答", "和", "次韵", "谢", "示"),
}
_MONTHS = tuple(f"{number}月" for number in "正一二三四五六七八九十")


def subject_of(title: str) -> str | None:
    """The subject that `title` (simplified characters) names, or None. A date (三月) is not the moon."""
    for month in _MONTHS:
        title = title.replace(month, "")
    for subject, signs in SUBJECTS.items():
        if any(sign in title for sign in signs):
            return subject
    return None
