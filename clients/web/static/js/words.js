// What the page says, in both languages. {braces} are filled in.
export const WORDS = {
  zh: {
    title: "题画", tagline: "一幅画，换一首近体诗", skip: "跳到正文", view: "外观", dark: "夜", light: "昼",
    picture: "画", poem: "诗", invite: "放一幅画来", ways: "拖到这里，粘贴，或者", choose: "选一幅", camera: "拍一张",
    another: "换一幅", examples: "或者从这几幅开始", awaits: "诗将写在这里", picked: "你的画：{name}",
    pavilion: "楼阁", flower: "花", words: "意象", addWord: "添一个意象", add: "添",
    wordsHelp: "点一下划去，再点恢复；拖动，或按 Alt 加方向键，换次序。", noWords: "从画里看出的词会在这里；也可自己添几个来写。",
    seal: "{word}，相近 {score}", sealAdded: "{word}，自己添的", struck: "已划去",
    rules: "格律", form: "体裁", wujue: "五绝", qijue: "七绝", wulv: "五律", qilv: "七律", more: "更多",
    rhymeBook: "韵书", rhymeGroup: "韵部", pattern: "平仄格式", acrostic: "藏头", poet: "诗人", subject: "题材",
    howMany: "写几首来选", seed: "种子", anySeed: "随意", temperature: "奔放", regulated: "守平仄与韵", any: "不限",
    write: "写", again: "重写", stop: "停笔", writing: "正在写……", reading: "正在看画……", written: "写好了：{poem}", stopped: "已停笔。",
    marks: "平仄", copy: "抄录", link: "链接", card: "存为图片", copied: "已抄录。", linked: "链接已复制，也在地址栏里。",
    drawing: "正在制图……", saved: "图片已存。", redo: "改", redoLine: "重写第 {line} 句，其余不动", candidates: "各首",
    best: "最佳", similarity: "合画", fluency: "通顺", score: "总分", chooseCandidate: "第 {number} 首", checked: "平仄与病犯",
    level: "平", oblique: "仄", either: "可平可仄", unknown: "未知", rhyme: "韵", faulty: "出律", rescued: "拗救", conforms: "合律，无病。", faults: "有 {count} 处不合。",
    where: "第 {line} 句", copiedLine: "第 {line} 句见于{author}《{title}》。", nobody: "古人",
    seconds: "{seconds} 秒", foot: "诗由机器写成。图片只送到这台服务器，不留存。", again_in: "诗人都忙着，{seconds} 秒后再试。", waitEnd: "不等了", tryAgain: "再试一次",
    e_TOO_LARGE: "这幅画太大了，请先缩小些。", e_INVALID_IMAGE: "这个文件不像一幅画。请换一个 JPEG、PNG 或 WebP 图片。",
    e_OVERLOADED: "诗人都忙着，请过一会儿再来。", e_TOO_OFTEN: "来得太勤了，请歇一会儿。", e_NOT_READY: "诗人还在研墨，请稍候。",
    e_UNAVAILABLE: "诗人不在：与服务器断了联系。已写的字还在。", e_DRAINING: "服务器正要歇业，请过一会儿再来。",
    e_GATEWAY_GONE: "连不上这个网页的服务器了。已写的字还在。", e_IMPOSSIBLE_RULES: "这些要求凑不成一首诗，请放宽一些。",
    e_INVALID_OPTION: "有一项要求不合规矩。", e_PROMPT_TOO_LONG: "意象太多，诗人记不住，请划去几个。", e_UNKNOWN_MODEL: "没有这位诗人。",
    e_TOO_SLOW: "图片传得太慢，请再试一次。", e_DEADLINE_EXCEEDED: "等得太久，只好作罢。", e_INTERNAL: "服务器出了毛病。", e_NO_WORDS: "先放一幅画，或添一个意象。",
    e_NOT_CHINESE: "意象要用汉字，至多八个。", e_COPY: "浏览器不许复制。",
  },
  en: {
    title: "Image to poem", tagline: "A picture in, classical Chinese verse out", skip: "Skip to the page", view: "View", dark: "Dark", light: "Light",
    picture: "Picture", poem: "Poem", invite: "Bring a picture", ways: "Drop it here, paste it, or", choose: "Choose one", camera: "Take one",
    another: "Another picture", examples: "Or begin with one of these", awaits: "The poem comes here", picked: "Your picture: {name}",
    pavilion: "Pavilion", flower: "Flower", words: "Imagery", addWord: "Add a word", add: "Add",
    wordsHelp: "Click to strike out, click again to restore; drag, or press Alt and an arrow key, to reorder.", noWords: "Words seen in the picture will stand here. You can also add your own, in Chinese, and write from them.",
    seal: "{word}, likeness {score}", sealAdded: "{word}, added by you", struck: "struck out",
    rules: "Rules", form: "Form", wujue: "五绝 4×5", qijue: "七绝 4×7", wulv: "五律 8×5", qilv: "七律 8×7", more: "More",
    rhymeBook: "Rhyme book", rhymeGroup: "Rhyme", pattern: "Tonal pattern", acrostic: "Acrostic", poet: "Poet", subject: "Subject",
    howMany: "Poems to choose from", seed: "Seed", anySeed: "any", temperature: "Boldness", regulated: "Keep tones and rhyme", any: "any",
    write: "Write", again: "Write again", stop: "Stop", writing: "Writing …", reading: "Looking at the picture …", written: "Written: {poem}", stopped: "Stopped.",
    marks: "Tones", copy: "Copy", link: "Link", card: "Save as picture", copied: "Copied.", linked: "The link is copied, and stands in the address bar.",
    drawing: "Composing the picture …", saved: "The picture is saved.", redo: "改", redoLine: "Write line {line} anew, keep the others", candidates: "Candidates",
    best: "best", similarity: "likeness", fluency: "fluency", score: "score", chooseCandidate: "Candidate {number}", checked: "Tones and faults",
    level: "level", oblique: "oblique", either: "either", unknown: "unknown", rhyme: "rhyme", faulty: "fault", rescued: "rescued", conforms: "It keeps every rule.", faults: "Faults and remarks: {count}.",
    where: "Line {line}", copiedLine: "Line {line} stands in {title} by {author}.", nobody: "an unnamed poet",
    seconds: "{seconds} s", foot: "The poems are written by a machine. A picture goes to this server alone and is not kept.", again_in: "All poets are busy. Trying again in {seconds} s.", waitEnd: "Do not wait", tryAgain: "Try again",
    e_TOO_LARGE: "This picture is too large. Please make it smaller first.", e_INVALID_IMAGE: "This file does not look like a picture. Please choose a JPEG, PNG or WebP.",
    e_OVERLOADED: "All poets are busy. Please come back in a moment.", e_TOO_OFTEN: "That was a lot of requests. Please rest for a moment.", e_NOT_READY: "The poets are still grinding their ink. Please wait a moment.",
    e_UNAVAILABLE: "The poet has left: the server does not answer. What was written stays.", e_DRAINING: "The server is about to close. Please come back in a moment.",
    e_GATEWAY_GONE: "This page's server does not answer. What was written stays.", e_IMPOSSIBLE_RULES: "No poem can keep all these rules together. Please loosen one.",
    e_INVALID_OPTION: "One of the wishes is outside its limits.", e_PROMPT_TOO_LONG: "Too many words for this poet. Please strike some out.", e_UNKNOWN_MODEL: "There is no such poet.",
    e_TOO_SLOW: "The picture travelled too slowly. Please try again.", e_DEADLINE_EXCEEDED: "It took too long, and was given up.", e_INTERNAL: "Something went wrong on the server.", e_NO_WORDS: "Bring a picture first, or add a word.",
    e_NOT_CHINESE: "A word is one to eight Chinese characters.", e_COPY: "The browser does not allow copying.",
  },
};

// What a fault means, for readers of Chinese; English comes from the server, with the places.
export const FAULTS = {
  wrong_line_count: "近体诗是四句或八句。", wrong_length: "各句应同为五字或七字。", lost_opposition: "一联之内，二、四、六字平仄须相反。",
  lost_adhesion: "两联相接处，第二字平仄须相同。", wrong_tone: "此处平仄与格式不合。", lone_level: "除韵脚外只剩一个平声，夹在仄声之间。",
  three_level_ending: "句末连用三个平声。", level_ending: "不押韵的句子须以仄声收。", oblique_rhyme: "近体诗押平声韵。", wrong_rhyme: "韵脚不在同一韵部。",
  repeated_rhyme: "同一个字押了两次韵。", three_oblique_ending: "句末连用三个仄声，宜避。", clashing_rhyme: "不押韵的句子用了与韵脚同韵的字。",
  neighbouring_rhyme: "首句借用邻韵，历来许可。", rare_reading: "要取此字少见的读音才合律。", unknown_character: "韵书里没有此字。",
  special_form: "三、四字平仄互换，古人常用。", lone_level_rescue: "本句补一平声，救孤平。", great_deviation: "出句第四字拗，对句补救。", minor_deviation: "无须救的小拗。",
};
export const PATTERNS = {
  zh: {
    5: { a_unrhymed: "仄起 首句不入韵", a_rhymed: "仄起 首句入韵", b_unrhymed: "平起 首句不入韵", b_rhymed: "平起 首句入韵" },
    7: { a_unrhymed: "平起 首句不入韵", a_rhymed: "平起 首句入韵", b_unrhymed: "仄起 首句不入韵", b_rhymed: "仄起 首句入韵" },
  },
  en: {
    5: { a_unrhymed: "oblique, line 1 free", a_rhymed: "oblique, line 1 rhymed", b_unrhymed: "level, line 1 free", b_rhymed: "level, line 1 rhymed" },
    7: { a_unrhymed: "level, line 1 free", a_rhymed: "level, line 1 rhymed", b_unrhymed: "oblique, line 1 free", b_rhymed: "oblique, line 1 rhymed" },
  },
};
export const FORMS = { wujue: [4, 5], qijue: [4, 7], wulv: [8, 5], qilv: [8, 7] };
export const FORM_NAMES = { wujue: "五绝", qijue: "七绝", wulv: "五律", qilv: "七律" };
export const BOOKS = { pingshui: "平水韵", cilin: "词林正韵", xinyun: "中华新韵", tongyun: "中华通韵" };
