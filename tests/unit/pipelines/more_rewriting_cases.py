"""More prompts and answers: the second half, written without looking at the check after its rules stood."""

from __future__ import annotations

MORE_CASES: list[tuple[str, str, bool]] = [
    (
        "samurai in bamboo forest",
        "A lone samurai in weathered lacquered armor stands motionless among towering bamboo stalks, his "
        "katana half-drawn as a breeze sways the leaves. Shafts of pale green light filter through the "
        "canopy. Medium shot, low angle, shallow depth of field, cinematic realism.",
        True,
    ),
    (
        "cup of coffee on a table near window, rainy day",
        "A steaming ceramic cup of coffee rests on a worn wooden table beside a rain-streaked window. "
        "Droplets trail down the glass, blurring the grey street outside. Soft diffused daylight, close-up, "
        "cozy still-life photograph.",
        True,
    ),
    (
        "woman dancing in the rain",
        "A young woman in a flowing blue dress twirls barefoot on a glistening street as heavy rain falls "
        "around her, arms raised, laughing. Streetlights shimmer in the puddles. Slow tracking shot, warm "
        "backlight, cinematic.",
        True,
    ),
    (
        "a man walking his dog in central park in autumn",
        "A middle-aged man in a tan coat strolls along a leaf-strewn path in Central Park, his golden "
        "retriever trotting beside him on a loose leash. Amber and russet trees line the path. Soft afternoon "
        "light, medium shot at eye level.",
        True,
    ),
    (
        "steampunk airship",
        "A colossal steampunk airship with riveted brass plating and billowing canvas balloons drifts above a "
        "smoky Victorian skyline, steam venting from copper pipes. Warm sunset light, wide aerial shot, "
        "intricate concept art.",
        True,
    ),
    (
        "cute baby panda eating bamboo",
        "A fluffy baby panda sits on a mossy log, nibbling a fresh green bamboo stalk with both paws. Dappled "
        "sunlight falls through the forest, close-up at eye level, soft natural wildlife photograph.",
        True,
    ),
    (
        "robot painting a portrait",
        "A humanoid robot with scratched silver plating leans towards an easel, delicately brushing color "
        "onto a half-finished portrait of a woman. Dusty studio, tall windows, warm side light, medium "
        "close-up.",
        True,
    ),
    (
        "old train station at night with fog",
        "An abandoned old railway station lies under thick fog at night, its single lamp casting a pale halo "
        "over wet platforms and rusted rails. Low wide shot, cold blue tones, eerie and quiet.",
        True,
    ),
    (
        "sunset over the grand canyon",
        "The sun dips below the rim of the Grand Canyon, painting layered cliffs in red, orange and violet "
        "while long shadows pour into the gorge. A slow aerial pan, golden light, epic landscape photography.",
        True,
    ),
    (
        "spiderman eating pizza on a rooftop",
        "Spider-Man sits on the edge of a brick rooftop with his mask pulled up to his nose, taking a bite of "
        "a cheesy slice of pizza. City lights glitter far below. Medium shot, comic-inspired realism.",
        True,
    ),
    (
        "girl with red hair reading a book under a tree",
        "A girl with long red hair sits cross-legged beneath a sprawling oak tree, absorbed in an open book "
        "on her lap. Sunlight flickers through the leaves. Medium shot, soft watercolor style.",
        True,
    ),
    (
        "snowy village",
        "A quiet village of timber cottages lies blanketed in fresh snow, warm light glowing from small "
        "windows and smoke curling from chimneys. Blue dusk, wide shot, storybook illustration.",
        True,
    ),
    (
        "macro shot of a bee on a sunflower",
        "An extreme macro view of a honeybee clinging to the golden florets of a sunflower, pollen dusting "
        "its fuzzy legs, wings translucent in bright sunlight. Creamy background blur, crisp detail.",
        True,
    ),
    (
        "the sun sets over the sea, clouds drifting left",
        "The sun sinks slowly towards a calm sea, its orange reflection stretching over gentle waves, while "
        "soft clouds drift to the left across a glowing sky. Static camera, wide shot, peaceful.",
        True,
    ),
    (
        "3 astronauts on mars",
        "Three astronauts in dusty white suits stand side by side on the rust-red plain of Mars, one planting "
        "a flag as thin dust blows past. Wide shot, harsh sunlight, realistic science fiction.",
        True,
    ),
    (
        "dragon breathing fire over castle",
        "A massive dragon with charcoal scales swoops over a stone castle, unleashing a torrent of flames "
        "across its battlements. Embers whirl in smoky air. Low-angle wide shot, dramatic fantasy painting.",
        True,
    ),
    (
        "kids flying kites on the beach",
        "A group of children run along a sandy beach, laughing as colorful kites dance in the wind above "
        "them. Bright midday sun, wide tracking shot, joyful lifestyle photography.",
        True,
    ),
    (
        "black and white photo of a jazz musician",
        "A monochrome portrait of a jazz musician playing saxophone on a dim stage, eyes closed, smoke "
        "swirling through a single spotlight. High contrast, grain, close-up from a low angle.",
        True,
    ),
    (
        "tokyo street at night, neon, rain, cyberpunk",
        "A narrow Tokyo street glows under layers of neon signs at night, rain pouring onto slick asphalt "
        "that mirrors pink and cyan light. Figures with umbrellas hurry past. Cyberpunk mood, low wide shot.",
        True,
    ),
    (
        "a lonely lighthouse keeper",
        "A solitary keeper in a heavy wool coat stands on the gallery of a lighthouse, gazing at a grey sea. "
        "Wind tugs at his beard. Overcast light, medium shot, melancholic oil painting.",
        True,
    ),
    (
        "waterfall in jungle, drone shot",
        "A drone glides towards a thundering waterfall plunging through dense emerald jungle, mist rising and "
        "catching the light in a faint rainbow. Smooth forward motion, bright daylight, nature documentary.",
        True,
    ),
    (
        "mother hugging her child",
        "A mother kneels in a sunlit hallway and wraps her arms around her small child, both with eyes closed "
        "and gentle smiles. Soft window light, close-up, intimate documentary photograph.",
        True,
    ),
    (
        "chef cooking pasta in italian kitchen",
        "A cheerful chef in a white apron tosses steaming pasta in a copper pan, basil and tomatoes scattered "
        "on the rustic counter of an Italian kitchen. Warm light, handheld medium shot.",
        True,
    ),
    (
        "fast car drifting around a corner",
        "A sleek sports car slides sideways around a tight corner, tires smoking and headlights slicing "
        "through the haze. Low tracking shot, motion blur, dusk light, high-energy commercial style.",
        True,
    ),
    (
        "Happy birthday cake with 7 candles",
        "A frosted birthday cake topped with seven glowing candles stands on a wooden table, confetti "
        "scattered around it, warm light flickering on smiling faces behind. Close-up, shallow focus.",
        True,
    ),
    (
        "white horse galloping on beach at dawn",
        "A white horse gallops along the water's edge as the sun rises behind it, spray bursting from its "
        "hooves and mane streaming. Low tracking shot, soft pink and gold light, cinematic.",
        True,
    ),
    (
        "morning fog in the mountains",
        "Soft fog drifts between dark pine ridges in the early light, peaks emerging like islands beneath a "
        "pale pink sky. Slow aerial glide, muted colors, serene landscape.",
        True,
    ),
    (
        "hamster in a tiny spacesuit",
        "A plump hamster in a miniature white spacesuit floats inside a spacecraft cabin, cheeks puffed "
        "behind its bubble visor, Earth visible through a porthole. Soft studio light, close-up, whimsical 3D "
        "render.",
        True,
    ),
    (
        "two people kissing in front of eiffel tower",
        "A couple kiss tenderly in front of the Eiffel Tower, her red scarf lifted by the breeze, wet "
        "cobblestones gleaming. Blue hour, shallow depth of field, medium shot, romantic photograph.",
        True,
    ),
    (
        "skull made of flowers",
        "A human skull sculpted entirely from roses, lilies and trailing ivy rests on a dark velvet cloth, "
        "petals curling around its empty eyes. Soft side light, close-up, baroque still life.",
        True,
    ),
    (
        "time lapse of a flower blooming",
        "A time-lapse of a pink peony unfurling from a tight bud to full bloom against a dark background, "
        "petals trembling as they open. Static macro shot, soft studio light.",
        True,
    ),
    (
        "logo of a fox",
        "A minimalist logo of a fox head drawn in clean geometric shapes, warm orange and white on a plain "
        "background, crisp edges, centered, flat vector style.",
        True,
    ),
    (
        "giant octopus attacking a pirate ship",
        "A colossal octopus rises from a stormy ocean and wraps its tentacles around a splintering pirate "
        "ship, sailors scrambling across the deck. Lightning flashes, low wide shot, dramatic oil painting.",
        True,
    ),
    (
        "a house",
        "A charming two-story wooden house with a wraparound porch stands at the edge of a quiet meadow, ivy "
        "climbing its stone chimney. Late afternoon light, wide shot, realistic photograph.",
        True,
    ),
    (
        "samurai in bamboo forest",
        "A knight in shining armor stands in a bamboo grove, sword raised, shafts of light.",
        False,
    ),
    (
        "cup of coffee on a table",
        "A vase of tulips stands on a wooden table beside a rain-streaked window, soft light.",
        False,
    ),
    (
        "three astronauts on mars",
        "Two astronauts stand on the rust-red plain of Mars, wide shot, harsh sunlight.",
        False,
    ),
    (
        "white horse galloping on beach",
        "A black horse gallops along the water's edge of a beach, low tracking shot.",
        False,
    ),
    (
        "chef cooking pasta",
        "A red balloon floats above a calm sea at sunset, cinematic, highly detailed.",
        False,
    ),
    (
        "hamster in spacesuit",
        "A cat in a white spacesuit floats inside a spacecraft, Earth visible through a window.",
        False,
    ),
    (
        "train crossing a bridge",
        "A sailboat crosses a calm sea under a blue sky, wide shot, cinematic and peaceful light.",
        False,
    ),
    (
        "green triangle on white",
        "A green circle on a white background, simple, clean shapes, soft light.",
        False,
    ),
    (
        "house in the desert at night",
        "A house in a meadow at night under the stars, soft light.",
        False,
    ),
    (
        "sunset over the sea",
        "A sunrise over the sea in soft morning light, calm water, wide shot.",
        False,
    ),
    (
        "a robot",
        "A balloon over the sea on a sunny day, beautiful, vivid colors, wide shot.",
        False,
    ),
    (
        "blue balloon over snow",
        "A balloon over snow on a clear day, cinematic, wide shot, soft light.",
        False,
    ),
    (
        "boat sailing to the right",
        "A boat sails to the left over the sea by day, static camera, wide shot.",
        False,
    ),
    (
        "cat on a sofa",
        "An interior with a sofa, soft light from a window, shallow depth of field, calm mood, photograph.",
        False,
    ),
]
