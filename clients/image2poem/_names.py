"""What readers call the contract's stable names."""

FORMS = {"wujue": "五绝", "qijue": "七绝", "wulv": "五律", "qilv": "七律"}
BOOKS = {"pingshui": "平水韵", "cilin": "词林正韵", "xinyun": "中华新韵", "tongyun": "中华通韵"}
DYNASTIES = {"tang": "唐", "song": "宋"}
