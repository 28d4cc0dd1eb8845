"""Prompts, what models of this kind answer to them, and whether the answer may be used."""

from __future__ import annotations

LIGHTHOUSE = (
    "A weathered white lighthouse stands on a rocky cliff above a churning sea, its lamp sweeping a pale beam through "
    "driving rain. Dark storm clouds roll overhead and waves burst into spray against the rocks below. Cold blue "
    "light, wide shot from a low angle, cinematic realism, fine detail."
)

# (prompt, answer, usable?)
ENGLISH_CASES: list[tuple[str, str, bool]] = [
    ("lighthouse in a storm", LIGHTHOUSE, True),
    (
        "boat at night",
        "A small wooden sailboat drifts across calm, dark water beneath a full moon, its pale sail catching silver "
        "light. Stars glitter above, a soft mist hangs over the horizon, wide shot, serene and cinematic.",
        True,
    ),
    ("boat at night", "A hot air balloon floats above the sea under a starry sky, cinematic, peaceful.", False),
    ("boat at night", "A sailboat glides over a calm sea on a sunny day, bright colors, wide shot.", False),
    (
        "two cats playing chess",
        "A pair of fluffy tabby cats sit on opposite sides of a wooden chess board, one raising a paw to move a "
        "knight. Warm lamplight, shallow depth of field, whimsical storybook photograph.",
        True,
    ),
    (
        "two cats playing chess",
        "A fluffy tabby cat sits before a wooden chess board, raising a paw to move a knight. Warm lamplight.",
        False,
    ),
    (
        "red vintage car on a desert road",
        "A crimson 1950s convertible cruises along an empty desert highway, dust curling behind its chrome bumper, "
        "low sun over distant mesas, wide tracking shot, warm film photograph.",
        True,
    ),
    (
        "red vintage car on a desert road",
        "A blue vintage car cruises along an empty desert road, dust curling behind it, low sun over distant mesas.",
        False,
    ),
    (
        "an old fisherman mending nets",
        "An elderly fisherman with a weathered face sits on a wooden pier, his calloused hands mending a tangled net. "
        "Soft morning light, close-up, documentary photography.",
        True,
    ),
    (
        "girl with umbrella walking in Tokyo rain",
        "A young woman in a long beige coat strolls through a rain-soaked Tokyo street, holding a transparent umbrella "
        "that glows with neon reflections. Shallow focus, medium shot from behind, moody realism.",
        True,
    ),
    (
        "girl with umbrella walking in Tokyo rain",
        "A young woman strolls through a rain-soaked Paris street, holding an umbrella that glows with reflections.",
        False,
    ),
    (
        'neon sign that says "OPEN"',
        'A glowing neon sign that reads "OPEN" hangs in the rain-streaked window of a small diner, pink and blue light '
        "spilling onto the wet pavement, close-up, moody realism.",
        True,
    ),
    (
        'neon sign that says "OPEN"',
        'A glowing neon sign that reads "CLOSED" hangs in the rain-streaked window of a small diner, pink light.',
        False,
    ),
    (
        "astronaut riding a horse",
        "An astronaut in a white spacesuit rides a galloping chestnut horse across a dusty lunar plain, Earth rising "
        "behind them, dramatic rim light, low-angle shot, photorealistic.",
        True,
    ),
    (
        "a boat sailing left",
        "A white sailboat sails left across a calm blue sea, its sails full, gentle waves in its wake, static camera, "
        "wide shot, clear daylight, peaceful and cinematic.",
        True,
    ),
    (
        "a boat sailing left",
        "A white sailboat sails right across a calm blue sea, its sails full, gentle waves in its wake, static camera.",
        False,
    ),
    (
        "balloon rising over meadow at dawn",
        "A striped balloon rises slowly above a green meadow in the early morning, first light touching the grass, "
        "the camera tilts up to follow it, peaceful, cinematic.",
        True,
    ),
    (
        "balloon rising over meadow at dawn",
        "A striped balloon sinks slowly towards a green meadow in the early morning, first light touching the grass.",
        False,
    ),
    (
        "cyberpunk city",
        "A sprawling cyberpunk metropolis of towering skyscrapers and flickering holograms, rain-slick streets below "
        "crowded with figures under umbrellas, magenta and cyan neon, wide aerial shot, highly detailed.",
        True,
    ),
    (
        "dog",
        "A golden retriever sits in tall summer grass, tongue out, ears lifted by the breeze. Late afternoon sun rims "
        "its fur, shallow depth of field, eye-level portrait, natural photograph.",
        True,
    ),
    ("dog", "A fluffy kitten sits in tall summer grass, ears lifted by the breeze, soft light.", False),
    (
        "ballon over mountians",
        "A colorful hot air balloon floats above snow-capped mountains, soft haze in the valleys, wide shot.",
        True,
    ),
    (
        "portrait of a sad clown, oil painting",
        "An oil painting of a melancholy clown in a faded ruffled collar, smeared white greasepaint and a single tear, "
        "dim candlelight from the left, thick brushstrokes, close-up portrait in muted reds.",
        True,
    ),
    (
        "beautiful sunset",
        "The sun sinks behind a calm ocean in layers of orange, rose and violet, golden light spreading over the "
        "waves, wide shot, long lens, serene atmosphere.",
        True,
    ),
    (
        "three kids building a snowman, no adults",
        "Three rosy-cheeked children in woolen hats build a snowman in a quiet front yard, one lifting the carrot nose "
        "into place. Soft overcast light, medium shot, cozy winter photograph.",
        True,
    ),
    (
        "5 year old girl blowing out candles",
        "A little girl with curly hair leans over a birthday cake and blows out its candles, smoke curling in warm "
        "light, family blurred behind her, close-up, candid photograph.",
        True,
    ),
    (
        "Shaq dunking in space",
        "Shaq, in a gleaming golden jersey, soars weightlessly towards a floating hoop and dunks a glowing ball, stars "
        "and the curved Earth behind him, dynamic low angle, vivid comic style.",
        True,
    ),
    (
        "a cat riding a bicycle in Paris",
        "A ginger cat in a striped scarf rides a red bicycle past a Paris café, the Eiffel Tower soft in the distance, "
        "golden hour light, tracking shot at eye level, playful and charming.",
        True,
    ),
    (
        "a cat riding a bicycle in Paris",
        "A red balloon floats over Paris, the Eiffel Tower soft in the distance, golden hour light, wide shot, calm.",
        False,
    ),
    (
        "make a video of waves crashing on rocks please",
        "Powerful ocean waves crash against jagged black rocks, white spray bursting high and falling in slow motion. "
        "Overcast light, static wide shot, raw documentary feel.",
        True,
    ),
    (
        "ein Boot auf dem See im Nebel",
        "A wooden rowing boat rests on a still lake wrapped in fog, faint reeds along the shore, soft grey light, "
        "wide shot, quiet and melancholic.",
        True,
    ),
    (
        "ein Boot auf dem See im Nebel",
        "Ein hölzernes Boot liegt auf dem stillen See im Nebel, am Ufer steht das Schilf, weiches graues Licht und "
        "eine ruhige Stimmung mit sanften Wellen.",
        False,
    ),
    (
        "红色的气球飘在雪山上",
        "A bright red hot air balloon drifts above snow-covered mountains, soft morning haze below, wide shot.",
        True,
    ),
    ("zorble at night", "A zorble at night under a starry sky, in the moonlight, cinematic, highly detailed.", True),
    ("zorble at night", "A red balloon at night under a starry sky, in the moonlight, cinematic.", False),
    ("dragon", "I'm sorry, but I can't help with that request about a dragon. Could you try something else?", False),
    ("dragon", "As an AI language model, I would describe the dragon as a large creature with scales.", False),
    ("dragon", "", False),
    ("dragon", '""', False),
    ("dragon", "一条巨大的红龙盘旋在古老的城堡上空，喷出炽热的火焰，天空布满乌云。", False),
    ("a very long idea about a dragon that guards a mountain of gold coins", "A dragon guards a gold mountain.", False),
    ("sign with the word 你好", "A wooden sign with the word 你好 carved into it, warm evening light, close-up.", True),
    (
        "dragon",
        "A dragon flies over the sea and a dragon flies over the sea and a dragon flies over the sea and a dragon "
        "flies over the sea and a dragon flies over the sea.",
        False,
    ),
]

CHINESE_CASES: list[tuple[str, str, bool]] = [
    (
        "boat at night",
        "夜幕下，一艘小木船静静漂浮在湖面上，皎洁的月光洒在水面，泛起银色的波纹。远处群山朦胧，星光点点，广角镜头，电影质感。",
        True,
    ),
    ("boat at night", "正午的阳光下，一艘小木船漂浮在湖面上，水面清澈，远处群山连绵，广角镜头，电影质感。", False),
    (
        "two red cars racing",
        "两辆鲜红的跑车在沿海公路上并驾齐驱，轮胎卷起尘土，低角度跟拍镜头，夕阳余晖，动感十足。",
        True,
    ),
    (
        "two red cars racing",
        "三辆蓝色跑车在沿海公路上并驾齐驱，轮胎卷起尘土，低角度跟拍镜头，光线明亮，动感十足。",
        False,
    ),
    (
        "boat at night",
        "A sailboat at night under the moon, calm dark water, cinematic wide shot, highly detailed.",
        False,
    ),
    (
        'neon sign that says "OPEN"',
        "雨夜街角，一块写着“OPEN”的霓虹灯牌在橱窗里闪烁，粉蓝色的光映在湿漉漉的地面上。",
        True,
    ),
    (
        'neon sign that says "OPEN"',
        "雨夜街角，一块写着“营业中”的霓虹灯牌在橱窗里闪烁，粉蓝色的光映在湿漉漉的地面上。",
        False,
    ),
    (
        "夜晚的小船",
        "夜色笼罩着宁静的湖面，一艘小船随着微波轻轻摇晃，船头挂着一盏昏黄的灯笼，月光如水，远景镜头。",
        True,
    ),
    (
        "一只猫在弹钢琴",
        "一只橘色的猫端坐在黑色三角钢琴前，前爪轻轻按下琴键，暖黄色灯光从侧面洒下，近景镜头，温馨复古。",
        True,
    ),
    ("一只猫在弹钢琴", "蓝天白云之下，广阔的草原上骏马奔驰，尘土飞扬，远处雪山巍峨，航拍镜头，气势恢宏。", False),
    ("dog", "抱歉，我无法完成这个请求，请您换一个描述再试一次。", False),
]
