"""The words of the content policy, by notion and language. Matching and the rules are in `policy.py`.






 are separated by commas. `word*` matches every word that begins so; `=word` is compared with its accents, where
without them it would be another word. Plain terms are compared without accents and in every spelling that
`policy_spelling.py` reads. Lists are terse on purpose: no more than what the rules need.
"""

from __future__ import annotations

ALONE = """
loli, lolis, lolicon, lolicons, lolikon, shota, shotas, shotacon, shotacons, toddlercon, pederast*, hebephil*,
ephebophil*, jail bait, pthc, csam, jailbait, pedo, pedos, pedofil*, pedobear, pedophil*, paedophil*, paedo,
pedoporn*, pedopornograf*, child porn, child porno, child pornography, child erotica, child sex,
child sexual abuse, kid porn, kids porn, kiddie porn, kiddy porn, kiddie sex, baby porn, teen porn,
preteen porn, preteen sex, underage porn, underage sex, underage nude, underage nudes, minor porn, cp pic,
cp pics, cp picture, cp pictures, cp photo, cp photos, cp image, cp images, cp video, cp videos, cp porn,
kinderporn*, pornographie infantile, pedopornographie, pornografia infantil, porno infantil,
pornografia infantile, детское порно, детская порнография, педофил*, лоли, лоликон
"""
"""Refused wherever they stand, in the negative prompt too."""

ALONE_CJK = """
萝莉, 蘿莉, 儿童色情, 兒童色情, 児童ポルノ, ロリ, ロリコン, ショタ, ショタコン, 로리, 로리콘, 쇼타, 아동포르노
"""

MINOR = {
    "en": """
child, childs, children, childrens, childlike, kid, kids, kidz, boyz, kiddo, kiddos, kiddie, kiddies, kiddy,
toddler, toddlers, infant, infants, newborn, newborns, neonate, baby, babies, preschool, preschooler,
preschoolers, kindergarten, kindergartner, kindergartners, kindergartener, kindergarteners, schoolchild,
schoolchildren, schoolkid, schoolkids, schoolgirl, schoolgirls, schoolboy, schoolboys, teen, teens, teenage,
teenaged, teenager, teenagers, tween, tweens, tweenager, preteen, preteens, adolescent, adolescents,
adolescence, juvenile, juveniles, underage, underaged, minor, minors, youngster, youngsters, youngling,
pubescent, prepubescent, lolita, lolitas, daughter, daughters, stepdaughter, stepson, granddaughter, grandson,
niece, nephew, boy, boys, orphan, orphans, cubscout, little one, little ones, little girl, little girls,
little sister, little brother, young girl, young girls, young child, younger girl, younger girls, small girl,
small girls, tiny girl, school girl, school girls, school age, school aged, school student, school students,
school pupil, school pupils, girl scout, girl scouts, high school, high schooler, high schoolers, middle school,
middle schooler, middle schoolers, elementary school, elementary student, elementary students, primary school,
grade school, grade schooler, grade schoolers, junior high, secondary school, barely legal, nymphet*, babygirl,
puberty, lil girl, lil girls, lil boy, lil kid, under age, under aged, pre teen, pre teens, very young, my son,
his son, her son, their son, our son, young son, childish body, flat chested girl
""",
    "de": """
kinder, kindern, kindes, kleinkind*, schulkind*, saugling*, minderjahrig*, schulmadchen, schulerin*,
grundschul*, jugendliche, jugendlicher, jugendlichen, teenie, teenies, kleines madchen, kleine madchen,
junges madchen, kleiner junge, kleinen jungen, tochter, enkelin, enkelkind*, ein kind, das kind, kindergarten*
""",
    "fr": """
enfant, enfants, fillette, fillettes, =bébé, =bébés, gamin, gamins, gosse, gosses, collegienne, collegiennes,
lyceenne, lyceennes, lyceen, ecoliere, ecolieres, ecolier, adolescente, adolescentes, adolescent, ado, ados,
mineure, mineures, petite fille, petites filles, petit garcon, petits garcons, jeune fille, nourrisson*,
=garçon, =garçons
""",
    "es": """
=niña, =niñas, =niño, =niños, ninita*, ninito*, chiquilla*, chiquillo*, colegiala*, =bebé, =bebés, adolescentes,
menor de edad, menores de edad, infantil, escolares, nina pequena, nina desnuda, ninas desnudas, nino desnudo
""",
    "pt": """
crianca, criancas, menina, meninas, menino, meninos, =bebê, =bebês, menor de idade, menores de idade,
menininha*, criancinha*, estudante do ensino medio
""",
    "it": """
bambino, bambina, bambini, bambine, bimba, bimbi, neonato, neonata, neonati, ragazzina, ragazzine, ragazzino,
ragazzini, minorenne, minorenni, scolaretta, adolescenti, fanciulla, fanciullo
""",
    "ru": """
ребенок, ребенка, ребенку, ребенком, дети, детеи, детям, детьми, детск*, девочк*, мальчик*, малыш*, младен*,
подросток, подростк*, школьниц*, школьник*, несовершеннолет*, малолет*
""",
}
MINOR_CJK = """
儿童, 兒童, 児童, 小孩, 孩子, 孩童, 幼女, 幼童, 幼儿, 幼兒, 幼児, 婴儿, 嬰兒, 女童, 男童, 女児, 男児, 小女孩,
小男孩, 未成年, 小学生, 小學生, 中学生, 中學生, 初中生, 高中生, 高校生, 女子高生, 少女, 少年, 正太, 子供,
子ども, こども, 赤ちゃん, 赤ん坊, 아동, 어린이, 소녀, 소년, 미성년, 초등학생, 중학생, 여고생, 아기
"""
"""少女 and 소녀 are counted here: with a sexual notion beside them they mean girls of school age."""

MINOR_IF_SAME_LANGUAGE = {
    "de": "kind, kinds",
    "es": "nina, ninas, nino, ninos, bebe",
    "pt": "bebe",
    "fr": "bebe, garcon",
}
"""Words that mean a child in one language and something harmless in another."""

MAYBE_MINOR = """
girl, girls, girly, girlie, madchen, fille, filles, garota, garotas, девушк*
"""
"""Often said of adults: refused beside an explicit notion where nothing says that an adult is meant."""

ADULT = """
adult, adults, grown up, grown ups, grown woman, grown women, grown man, mature, of age, milf, college,
university, 18 plus, over 18, over eighteen, above 18, erwachsen*, adulte, adulto, adulta, взросл*
"""

EXPLICIT = {
    "en": """
nude, nudes, nudity, barenaked, unclad, uncensored, sexually explicit, virginity, deflower*, sodomy, ageplay,
nudis*, naked, nakedness, nsfw, sex, sexual, sexually, sexuality, sexualized, sexualised, sexualization, sext,
sexting, porn*, porn, porno, pron, hentai, ecchi, erotic*, xxx, xrated, x rated, r18, rule34, rule 34, genital*,
penis, penises, vagina, vaginas, vaginal, vulva, clitoris, anus, anal, nipple, nipples, areola, areolas, boobs,
boob, tits, titties, titty, pussy, pussies, cock, cocks, dick, dicks, cum, cums, cumming, cumshot, cumshots,
semen, sperm, ejaculat*, orgasm*, masturbat*, fingering, blowjob*, handjob*, footjob*, deepthroat*, creampie*,
bukkake, gangbang*, threesome*, orgy, orgies, intercourse, coitus, fornicat*, copulat*, fuck, fucks, fucked,
fucking, fucker, rape, raped, rapes, raping, rapist, molest*, grope, groped, groping, incest, incestuous,
undress, undresses, undressed, undressing, unclothed, disrobed, disrobing, naturist*, topless, bottomless,
striptease, stripper, strippers, upskirt, fetish*, bdsm, bondage, shibari, dildo*, vibrator*, prostitut*,
whore*, slut*, brothel*, futa, futanari, ahegao, cameltoe, ass, asses, asshole, arse, buttocks, horny, foreplay,
erection*, lewd, lewds, obscene, smut, smutty, onlyfans, playboy, dominatrix, without clothes, without clothing,
without any clothes, without any clothing, no clothes, no clothing, wearing nothing, nothing on,
with nothing on, birthday suit, in the nude, in the buff, skinny dipping, skinnydipping, bare breasts,
bare breasted, bare bottom, bare bottoms, bare butt, bare skin body, exposed body, exposed breasts,
exposed bottom, spread legs, legs spread, spreading legs, spreading her legs, spreading his legs, make love,
making love, lap dance, strip club, no panties, no underwear, taking off clothes, taking off her clothes,
taking off his clothes, camel toe, oral sex
""",
    "de": """
nackt, nackte, nackter, nacktes, nackten, nacktem, nacktheit, nacktbild*, nacktfoto*, porno*, erotisch*,
sexuell*, unbekleidet*, ausgezogen*, entblosst*, ohne kleidung, ohne kleider, geschlechtsverkehr, brustwarze*
""",
    "fr": """
denude, denudee, denudes, denudees, nudite, deshabille, deshabillee, deshabilles, deshabillees, sexe, sexuel*,
porno*, erotique*, sans vetement, sans vetements, seins nus, toute nue, tout nu, toutes nues, tout nus
""",
    "es": """
desnud*, sexo, sexuales, porno*, erotico*, erotica*, sin ropa, tetas, follar, follando, masturb*, pene, pezon*,
coito
""",
    "pt": """
nudez, sexo, pornografi*, erotico, eroticos, sem roupa, sem roupas, transando, peladinh*, seios
""",
    "it": """
nuda, nudi, nudo, nudita, sesso, sessual*, porno*, erotico, erotici, erotiche, senza vestiti, senza abiti,
spogliat*
""",
    "ru": """
голыи, голая, голое, голые, голого, голои, голую, голых, голышом, обнажен*, порно*, секс*, эротик*, эротич*,
нагая, нагои, нагие, раздет*, без одежды, интимн*
""",
}
EXPLICIT_CJK = """
裸体, 裸體, 裸露, 全裸, 裸照, 裸, 色情, 性爱, 性愛, 性交, 做爱, 做愛, 情色, 淫, 乳头, 乳頭, 乳首, 阴道, 陰道,
阴茎, 陰莖, 脱衣, 脫衣, 黄片, 不穿衣, 没穿衣, 沒穿衣, ヌード, エロ, エッチ, セックス, ポルノ, 性的, 性行為,
누드, 알몸, 나체, 섹스, 포르노, 야한, 벗은
"""

EXPLICIT_IF_SAME_LANGUAGE = {"fr": "nu, nue, nus, nues", "pt": "nu, nua, nus, nuas, pelado, pelada"}

SUGGESTIVE = """
sexy, sexier, sexiest, explicit, hot teen, hot teens, hot schoolgirl, hot schoolgirls, sensuous, seduc*,
sensual, sensually, sultry, provocative, provocatively, suggestive, suggestively, lingerie, negligee, panties,
panty, pantyshot, pantyshots, underwear, undies, knickers, thong, gstring, g string, bra, bikini, bikinis,
cleavage, busty, thicc, voluptuous, breasts, crotch, kink, lustful, aroused, arousing, skimpy, scantily,
see through clothes, see through clothing, see through shirt, see through dress, see through top,
revealing clothes, revealing clothing, revealing outfit, revealing dress, wet t shirt, boudoir, pinup, pin up,
pole dance, pole dancer, pole dancing, twerk, twerking, french kiss, french kissing, making out, aphrodisiac,
dessous, reizwasche, unterwasche, lenceria, ropa interior, calcinha, calcinhas, biancheria intima,
sous vetements, белье, бикини
"""
SUGGESTIVE_CJK = "内衣, 內衣, 下着, 情趣, 性感, 比基尼, ビキニ, セクシー, パンツ丸見え, 속옷, 섹시, 비키니"

CLOTHING = """
clothes, clothing, cloth, clothed, dressed, garment, garments, apparel, attire, outfit, outfits, covered, shirt,
shirts, tshirt, t shirt, pants, trousers, shorts, swimsuit, swimsuits, swimwear, kleidung, kleider, bekleidet,
vetements, vetement, habits, habille, ropa, ropas, roupa, roupas, vestiti, abiti, одежда, одежды, одет,
censored, censorship, censor, censoring, mosaic, mosaics, sfw
"""
"""Named as not wanted, these ask for a person without them. Underwear is not here: unwanted, it protects."""
CLOTHING_CJK = ("衣服", "服", "服装", "衣物", "옷")

FILLERS = "all, any, the, a, an, wearing, is, fully, with, and, his, her, their, of, body, in, some, on"

UNWANTED_ADULTS = """
adult, adults, grown up, grown ups, grownup, grownups, adult woman, adult women, adult man, adult female,
grown woman, grown women, over 18, 18 plus, legal age, of legal age, of age, mature woman, mature female,
erwachsene, adulte, adultes, adulto, adulta, adultos, взрослые, взрослыи
"""

HARMLESS = r"""
naked mole rats? | naked (?:eyes? | trees? | branch(?:es)? | flames? | bulbs? | cakes? | chef | gun | necks? chickens? |
  truth | singularit(?:y|ies) | dna | oats? | ladies flowers? | lady flowers?)
nude (?:lipsticks? | colou?r(?:s|ed)? | tones? | shades? | heels | pumps | palettes? | nails? | lips | beige | pink)
(?:same | opposite) sex | both sexes | sex (?:ratio | pistols)
breasts? (?:cancer | milk | feed(?:ing)? | fed | pumps? | strokes? | pockets? | plates?)
(?:chicken | turkey | duck) breasts? | (?:red | yellow) breasts?
cocks? (?:and (?:hens? | bull) | crow(?:s | ing)? | a doodle doo | robin | horse) |
  (?:hens? and | weather | shuttle | turkey) cocks?
(?:moby | named | uncle) dick |
  dick (?:tracy | bruna | grayson | and jane | and dom | van dyke | whittington | turpin) | spotted dick
tom dick and harry | philip k dick
puss(?:y | ies) (?:willows? | cats? | foot | riot)
(?:blue | great | coal | marsh | willow | crested | (?:long )?tailed | bearded) tits
(?:blue | red) footed boobies
rape (?:seeds? | fields? | flowers? | blossoms? | oil | plants?) | rapp(?:ing | ed | ers?)
(?:wild | african | somali | pack) asse?s? | ox and (?:an | the )?ass | ass and (?:an | the )?ox | asses milk
ass (?:riding | driver) | (?:summa | magna )?cum laude | horny (?:toads? | lizards? | devils?)
bottomless (?:pits? | pools? | wells? | brunch | cups? | lakes?) | (?:paint | wire | cable) strippers?
topless (?:bus(?:es)? | towers?) | erection of | make love not war | orgy of colou?rs? | captain underpants
(?:baby )?bottle nipples? | nipples? of (?:a | the )?(?:baby )?bottles? | sperm whales?
sexually transmitted | sex education | bra (?:ket | burning) |
  finger(?:ing)? (?:painting | holes? | chart) | guitar fingering
(?:pieds? | tetes?) nue?s? | a l oeil nu | piedi nudi | pies desnudos | pes nus | nackten? fussen? | nackten? fusse?
(?:jogando | jogar | jogam | joga | jogo de) pelada | sensual (?:world) | ecumenical | shottas?
explicit (?:colou?rs? | instructions? | labels? | rules? | formula)
minor (?:damage | details? | keys? | scales? | chords? | adjustments? | flaws? | wear | scratch(?:es)? | leagues? |
  arcana |   planets? | changes? | injur(?:y|ies) | thirds? | characters? | roads? | repairs? | tweaks?)
(?:ursa | canis | asia | leo) minor | in [a-g] (?:flat | sharp )?minor
baby (?:oil | grand | bump | doll | dolls | blue (?:dress | lingerie | background | walls? | cars? | paint |
  colou?r | sky))
baby s breath | sugar bab(?:y | ies) | kid gloves | kidskin | teddy boys? | lost boys | beach boys | backstreet boys
(?:pool | toy | bad | delivery | game | pretty | beach | city | play | stable) boys? | boy (?:shorts? | bands?)
[0-9]\+?(?:girls? | boys?) | girls? (?:power | band | group) | spice girls | cover girls? | gossip girl
"""
"""Phrases set aside before anything is looked for,
a regular expression a line; a space is any gap between words."""

HARMLESS_CJK = (
    "裸足",
    "裸眼",
    "裸麦",
    "裸子植物",
    "裸電球",
    "裸岩",
    "裸机",
    "性的多様性",
    "少年漫画",
    "少年ジャンプ",
    "少女漫画",
)
