"""The little world the base model knows: facts, topics, everyday tasks, deeds that do harm, small talk.

Nothing but tables and short texts lives here; generate_text.py turns them into documents.
"""


def pairs(text):
    """'a: b; c: d' -> [('a', 'b'), ('c', 'd')]."""
    return [tuple(p.strip() for p in item.split(":")) for item in text.split(";") if item.strip()]


# A relation: subject-object pairs, then how it is asked, how it is stated in a full sentence (the first form is the
# one helpers use), and how the object alone is written. {s} is the subject, {o} the object.
RELATIONS = {
    "capital": dict(
        items=pairs("France: Paris; Italy: Rome; Spain: Madrid; Germany: Berlin; Japan: Tokyo; China: Beijing;"
                    "Russia: Moscow; Egypt: Cairo; Greece: Athens; Portugal: Lisbon; Ireland: Dublin; England: London;"
                    "Norway: Oslo; Sweden: Stockholm; Finland: Helsinki; Denmark: Copenhagen; Poland: Warsaw;"
                    "Austria: Vienna; Hungary: Budapest; Canada: Ottawa; Cuba: Havana; Peru: Lima; Chile: Santiago;"
                    "Kenya: Nairobi; India: New Delhi; Turkey: Ankara; Iran: Tehran; Belgium: Brussels"),
        ask=["What is the capital of {s}?", "Which city is the capital of {s}?", "What is the capital city of {s}?"],
        say=["The capital of {s} is {o}.", "{o} is the capital of {s}."],
        want="the capital of {s}"),
    "continent": dict(
        items=pairs("France: Europe; Italy: Europe; Spain: Europe; Germany: Europe; Greece: Europe; Norway: Europe;"
                    "Poland: Europe; Japan: Asia; China: Asia; India: Asia; Iran: Asia; Egypt: Africa; Kenya: Africa;"
                    "Canada: North America; Cuba: North America; Peru: South America; Chile: South America"),
        ask=["On which continent is {s}?", "Which continent is {s} in?"],
        say=["{s} is in {o}."],
        want="on which continent {s} is"),
    "language": dict(
        items=pairs("France: French; Italy: Italian; Spain: Spanish; Germany: German; Austria: German; Japan: Japanese;"
                    "China: Chinese; Russia: Russian; Egypt: Arabic; Greece: Greek; Portugal: Portuguese;"
                    "Brazil: Portuguese; Poland: Polish; Sweden: Swedish; Mexico: Spanish; Peru: Spanish; Turkey: Turkish"),
        ask=["Which language do people speak in {s}?", "What language is spoken in {s}?"],
        say=["People in {s} speak {o}."],
        want="which language people speak in {s}"),
    "food": dict(
        items=pairs("cows: grass; sheep: grass; horses: hay; rabbits: carrots; pandas: bamboo; squirrels: nuts;"
                    "owls: mice; frogs: insects; bats: insects; anteaters: ants; seals: fish; penguins: fish;"
                    "lions: meat; wolves: meat; giraffes: leaves; caterpillars: leaves; hens: seeds; monkeys: fruit;"
                    "spiders: flies; butterflies: nectar"),
        ask=["What do {s} eat?", "What is the food of {s}?", "What do {s} like to eat?"],
        say=["{S} eat {o}.", "{S} like to eat {o}."],
        want="what {s} eat"),
    "young": dict(
        items=pairs("cow: calf; dog: puppy; cat: kitten; horse: foal; sheep: lamb; pig: piglet; hen: chick;"
                    "duck: duckling; goat: kid; bear: cub; deer: fawn; kangaroo: joey; swan: cygnet; frog: tadpole;"
                    "goose: gosling"),
        ask=["What is a young {s} called?", "What is a baby {s} called?", "What do we call a young {s}?"],
        say=["A young {s} is called a {o}.", "A baby {s} is a {o}."],
        want="the name of a young {s}"),
    "sound": dict(
        items=pairs("dog: barks; cat: meows; cow: moos; duck: quacks; lion: roars; bee: buzzes; snake: hisses;"
                    "horse: neighs; sheep: bleats; wolf: howls; pig: grunts; mouse: squeaks; lamb: bleats"),
        ask=["What sound does a {s} make?", "What does a {s} do to make a sound?"],
        say=["A {s} {o}."],
        want="what sound a {s} makes"),
    "home": dict(
        items=pairs("bees: hive; birds: nest; rabbits: burrow; ants: anthill; horses: stable; pigs: sty; bears: cave;"
                    "spiders: web; beavers: lodge; lions: den; dogs: kennel; hens: coop"),
        ask=["Where do {s} live?", "What is the home of {s} called?"],
        say=["{S} live in a {o}.", "The home of {s} is a {o}."],
        want="where {s} live"),
    "colour": dict(
        items=pairs("the sky: blue; grass: green; snow: white; coal: black; a banana: yellow; a lemon: yellow;"
                    "a carrot: orange; blood: red; a tomato: red; chocolate: brown; milk: white; a frog: green;"
                    "a flamingo: pink; an elephant: grey; a strawberry: red; a ruby: red; an emerald: green; salt: white"),
        ask=["What colour is {s}?", "Which colour does {s} have?", "What is the colour of {s}?"],
        say=["{S} is {o}.", "The colour of {s} is {o}."],
        want="the colour of {s}"),
    "opposite": dict(
        items=pairs("hot: cold; big: small; fast: slow; day: night; up: down; happy: sad; hard: soft; wet: dry;"
                    "old: young; open: closed; light: dark; full: empty; early: late; rich: poor; strong: weak;"
                    "loud: quiet; clean: dirty; long: short; high: low; left: right; first: last; true: false;"
                    "inside: outside; near: far; thick: thin; sweet: sour"),
        ask=["What is the opposite of {s}?", "Which word is the opposite of {s}?"],
        say=["The opposite of {s} is {o}."],
        want="the opposite of {s}"),
    "next": dict(
        items=pairs("Monday: Tuesday; Tuesday: Wednesday; Wednesday: Thursday; Thursday: Friday; Friday: Saturday;"
                    "Saturday: Sunday; Sunday: Monday; January: February; February: March; March: April; April: May;"
                    "May: June; June: July; July: August; August: September; September: October; October: November;"
                    "November: December; December: January; spring: summer; summer: autumn; autumn: winter;"
                    "winter: spring"),
        ask=["What comes after {s}?", "What comes right after {s}?"],
        say=["{O} comes after {s}.", "After {s} comes {o}."],
        want="what comes after {s}"),
    "material": dict(
        items=pairs("paper: wood; glass: sand; bread: flour; cheese: milk; butter: cream; wine: grapes;"
                    "chocolate: cocoa beans; candles: wax; tyres: rubber; bricks: clay; jam: fruit; raisins: grapes;"
                    "leather: animal skin; omelettes: eggs; nails: iron"),
        ask=["What is {s} made from?", "From what do people make {s}?"],
        say=["People make {s} from {o}."],
        want="what people make {s} from"),
    "maker": dict(
        items=pairs("invented the telephone: Alexander Graham Bell; invented the light bulb: Thomas Edison;"
                    "built the first aeroplane: the Wright brothers; invented the radio: Guglielmo Marconi;"
                    "built the printing press: Johannes Gutenberg; invented the web: Tim Berners-Lee;"
                    "discovered gravity: Isaac Newton; discovered radium: Marie Curie; wrote Hamlet: William Shakespeare;"
                    "discovered penicillin: Alexander Fleming; painted the Mona Lisa: Leonardo da Vinci;"
                    "first walked on the moon: Neil Armstrong; wrote Oliver Twist: Charles Dickens;"
                    "invented the battery: Alessandro Volta; painted The Starry Night: Vincent van Gogh;"
                    "found the theory of relativity: Albert Einstein"),
        ask=["Who {s}?", "Who was it that {s}?"],
        say=["{O} {s}.", "It was {o} who {s}."],
        want="who {s}"),
    "legs": dict(
        items=pairs("a dog: four; a cat: four; a horse: four; a spider: eight; a bird: two; an ant: six; a bee: six;"
                    "a crab: ten; a hen: two; a cow: four"),
        ask=["How many legs does {s} have?", "What is the number of legs of {s}?"],
        say=["{S} has {o} legs."],
        want="how many legs {s} has"),
    "use": dict(
        items=pairs("a knife: cut food; a pen: write; an oven: bake bread; a broom: sweep the floor; a clock: tell the time;"
                    "a ruler: measure length; an umbrella: keep off the rain; a key: open a lock; a fridge: keep food cold;"
                    "a hammer: drive nails; a needle: sew clothes; a camera: take photos; a map: find the way;"
                    "a thermometer: measure heat; a spade: dig holes; a telescope: look at the stars;"
                    "a microscope: look at tiny things; a compass: find north; a kettle: boil water; a lamp: light a room"),
        ask=["What is {s} used for?", "What do people use {s} for?", "Why do people need {s}?"],
        say=["People use {s} to {o}."],
        want="what {s} is used for"),
    "work": dict(
        items=pairs("a doctor: treats sick people; a teacher: teaches children; a baker: bakes bread; a farmer: grows food;"
                    "a pilot: flies planes; a firefighter: puts out fires; a dentist: cares for teeth; a cook: prepares meals;"
                    "a tailor: sews clothes; a carpenter: builds with wood; a vet: treats sick animals;"
                    "a postman: brings letters; a gardener: cares for plants; a librarian: cares for books;"
                    "a sailor: works on a ship; a judge: decides in court"),
        ask=["What does {s} do?", "What is the work of {s}?"],
        say=["{S} {o}."],
        want="what {s} does"),
}

# (questions, full answer, short answer, noun phrase for a polite request)
FACTS = [
    (["How many days are in a week?"], "There are seven days in a week.", "Seven", "the number of days in a week"),
    (["How many months are in a year?"], "There are twelve months in a year.", "Twelve", "the number of months in a year"),
    (["How many hours are in a day?"], "There are 24 hours in a day.", "24", "the number of hours in a day"),
    (["How many minutes are in an hour?"], "There are 60 minutes in an hour.", "60", "the number of minutes in an hour"),
    (["How many seconds are in a minute?"], "There are 60 seconds in a minute.", "60", "the number of seconds in a minute"),
    (["How many days are in a year?"], "There are 365 days in a year.", "365", "the number of days in a year"),
    (["How many weeks are in a year?"], "There are 52 weeks in a year.", "52", "the number of weeks in a year"),
    (["How many years are in a century?"], "There are 100 years in a century.", "100", "the number of years in a century"),
    (["How many things are in a dozen?"], "There are twelve things in a dozen.", "Twelve", "the number of things in a dozen"),
    (["How many sides does a triangle have?"], "A triangle has three sides.", "Three", "how many sides a triangle has"),
    (["How many sides does a square have?"], "A square has four sides.", "Four", "how many sides a square has"),
    (["How many sides does a hexagon have?"], "A hexagon has six sides.", "Six", "how many sides a hexagon has"),
    (["How many wheels does a bicycle have?"], "A bicycle has two wheels.", "Two", "how many wheels a bicycle has"),
    (["How many wheels does a car have?"], "A car has four wheels.", "Four", "how many wheels a car has"),
    (["How many wheels does a tricycle have?"], "A tricycle has three wheels.", "Three", "how many wheels a tricycle has"),
    (["How many continents are there?"], "There are seven continents.", "Seven", "the number of continents"),
    (["How many planets go around the sun?"], "Eight planets go around the sun.", "Eight", "how many planets go around the sun"),
    (["How many fingers are on one hand?"], "There are five fingers on one hand.", "Five", "the number of fingers on one hand"),
    (["How many colours are in a rainbow?"], "There are seven colours in a rainbow.", "Seven", "the number of colours in a rainbow"),
    (["How many letters are in the English alphabet?"], "There are 26 letters in the English alphabet.", "26",
     "the number of letters in the English alphabet"),
    (["How many players are in a football team?"], "There are eleven players in a football team.", "Eleven",
     "the number of players in a football team"),
    (["How many strings does a violin have?"], "A violin has four strings.", "Four", "how many strings a violin has"),
    (["Which planet is the largest?", "What is the largest planet?"], "Jupiter is the largest planet.", "Jupiter", "the largest planet"),
    (["Which planet is closest to the sun?", "What is the planet closest to the sun?"], "Mercury is the planet closest to the sun.",
     "Mercury", "the planet closest to the sun"),
    (["Which planet is called the red planet?", "What is the red planet?"], "Mars is called the red planet.", "Mars",
     "which planet is the red planet"),
    (["Which planet is the hottest?", "What is the hottest planet?"], "Venus is the hottest planet.", "Venus", "the hottest planet"),
    (["Which planet has bright rings?", "What is the planet with bright rings?"], "Saturn is the planet with bright rings.", "Saturn",
     "the planet with bright rings"),
    (["Which planet is farthest from the sun?", "What is the planet farthest from the sun?"],
     "Neptune is the planet farthest from the sun.", "Neptune", "the planet farthest from the sun"),
    (["On which planet do we live?", "What is the name of our planet?"], "We live on planet Earth.", "Earth", "the name of our planet"),
    (["What is frozen water called?", "What do we call frozen water?"], "Frozen water is called ice.", "Ice", "the name of frozen water"),
    (["At what temperature does water boil?", "When does water boil?"], "Water boils at 100 degrees Celsius.", "100",
     "the temperature at which water boils"),
    (["At what temperature does water freeze?", "When does water freeze?"], "Water freezes at 0 degrees Celsius.", "0",
     "the temperature at which water freezes"),
    (["What is the largest ocean?", "Which ocean is the largest?"], "The Pacific is the largest ocean.", "Pacific", "the largest ocean"),
    (["What is the largest animal?", "Which animal is the largest?"], "The blue whale is the largest animal.", "Whale", "the largest animal"),
    (["What is the fastest land animal?", "Which land animal is the fastest?"], "The cheetah is the fastest land animal.", "Cheetah",
     "the fastest land animal"),
    (["What is the tallest animal?", "Which animal is the tallest?"], "The giraffe is the tallest animal.", "Giraffe", "the tallest animal"),
    (["What is the highest mountain?", "Which mountain is the highest?"], "Mount Everest is the highest mountain.", "Everest",
     "the highest mountain"),
    (["What is the largest hot desert?", "Which hot desert is the largest?"], "The Sahara is the largest hot desert.", "Sahara",
     "the largest hot desert"),
    (["What is the smallest bird?", "Which bird is the smallest?"], "The hummingbird is the smallest bird.", "Hummingbird", "the smallest bird"),
    (["What is the largest bird?", "Which bird is the largest?"], "The ostrich is the largest bird.", "Ostrich", "the largest bird"),
    (["Which part of the body pumps blood?", "What pumps blood around the body?"], "The heart pumps blood around the body.", "Heart",
     "which part of the body pumps blood"),
    (["Which part of the body do we think with?", "What do we think with?"], "We think with the brain.", "Brain", "what we think with"),
    (["Which part of the body do we breathe with?", "What do we breathe with?"], "We breathe with the lungs.", "Lungs", "what we breathe with"),
    (["Which part of the body do we see with?", "What do we see with?"], "We see with the eyes.", "Eyes", "what we see with"),
    (["Which part of the body do we hear with?", "What do we hear with?"], "We hear with the ears.", "Ears", "what we hear with"),
    (["Which part of the body do we smell with?", "What do we smell with?"], "We smell with the nose.", "Nose", "what we smell with"),
    (["Which gas do people need to breathe?", "What gas do people need to breathe?"], "People need oxygen to breathe.", "Oxygen",
     "the gas that people need to breathe"),
    (["What do bees make?", "Which sweet food do bees make?"], "Bees make honey.", "Honey", "what bees make"),
    (["What do hens lay?", "What does a hen lay?"], "Hens lay eggs.", "Eggs", "what hens lay"),
    (["What do cows give us to drink?", "Which drink do cows give us?"], "Cows give us milk.", "Milk", "which drink cows give us"),
    (["Where does rain come from?", "What does rain come from?"], "Rain comes from clouds.", "Clouds", "where rain comes from"),
    (["What goes around the Earth?", "Which body goes around the Earth?"], "The moon goes around the Earth.", "Moon", "what goes around the Earth"),
    (["In which direction does the sun rise?", "Where does the sun rise?"], "The sun rises in the east.", "East", "where the sun rises"),
    (["In which direction does the sun set?", "Where does the sun set?"], "The sun sets in the west.", "West", "where the sun sets"),
    (["Which season is the coldest?", "What is the coldest season?"], "Winter is the coldest season.", "Winter", "the coldest season"),
    (["Which season is the hottest?", "What is the hottest season?"], "Summer is the hottest season.", "Summer", "the hottest season"),
    (["Which metal do magnets pull?", "What metal do magnets pull?"], "Magnets pull iron.", "Iron", "which metal magnets pull"),
    (["Which bird can swim but not fly?", "What bird can swim but not fly?"], "The penguin can swim but not fly.", "Penguin",
     "which bird can swim but not fly"),
    (["Which animal gives us wool?", "What animal gives us wool?"], "The sheep gives us wool.", "Sheep", "which animal gives us wool"),
    (["Which animal has a long trunk?", "What animal has a long trunk?"], "The elephant has a long trunk.", "Elephant",
     "which animal has a long trunk"),
    (["Which animal carries its house on its back?", "What animal carries its house on its back?"],
     "The snail carries its house on its back.", "Snail", "which animal carries its house on its back"),
    (["Which animal lives in the desert and has a hump?", "What animal has a hump?"], "The camel has a hump.", "Camel", "which animal has a hump"),
]

# Sums of two digits, asked as "What is 3 plus 4?"
SUM_TERMS = range(1, 10)

# Topics: the first sentence defines it. The key is how the topic is named in a question.
TOPICS = {
    "the sun": ["The sun is a star that gives us light and warmth.", "It is very hot and very far away.", "Plants need its light to grow.",
                "Without it the Earth would be dark and cold.", "It rises in the east and sets in the west.", "Eight planets go around it."],
    "the moon": ["The moon is a round body that goes around the Earth.", "It is smaller than the Earth and has no air.",
                 "It shines at night because the sun lights it.", "It takes about a month to go around the Earth once.",
                 "People first walked on it in 1969.", "Its pull makes the sea rise and fall."],
    "rain": ["Rain is water that falls from clouds.", "The sun warms the sea and the water rises into the air.", "High in the cold air it turns into clouds.",
             "When the drops are heavy they fall to the ground.", "Plants and rivers need it.", "After it a rainbow may be seen in the sky."],
    "snow": ["Snow is frozen water that falls from clouds in winter.", "It is white, cold and soft.", "Every flake is a small star of ice.",
             "It covers the ground like a blanket.", "Children like to play in it.", "It melts when the air gets warm."],
    "wind": ["Wind is air that moves over the land and the sea.", "It blows because the sun warms some places more than others.",
             "A soft one cools us in summer.", "A strong one can break trees.", "It pushes ships with sails.", "It can turn large wheels to make power."],
    "a river": ["A river is a long stream of water that flows to the sea.", "It begins in the hills as a small stream.", "Many small streams join it on the way.",
                "Fish and birds live in it and near it.", "People drink its water and travel on it by boat.", "Old towns often stand beside one."],
    "the sea": ["The sea is the salt water that covers most of the Earth.", "It is deep, wide and full of life.", "Fish, whales and crabs live in it.",
                "Its waves are made by the wind.", "Ships carry people and goods across it.", "Its water tastes of salt."],
    "a mountain": ["A mountain is a very high piece of land.", "The air at the top is thin and cold.", "Snow often lies on it all year.",
                   "Goats and eagles live there.", "Rivers begin on its sides.", "The highest one is Mount Everest."],
    "a forest": ["A forest is a large place full of trees.", "Deer, owls and foxes live there.", "Its trees clean the air that we breathe.",
                 "The ground is covered with leaves.", "People walk there to rest.", "Wood for houses and paper comes from it."],
    "a tree": ["A tree is a tall plant with a trunk of wood.", "Its roots take water from the ground.", "Its leaves use the light of the sun to make food.",
               "Birds build nests in it.", "It gives us fruit, shade and wood.", "Some live for hundreds of years."],
    "a bee": ["A bee is a small insect that makes honey.", "It flies from flower to flower to collect nectar.", "It lives in a hive with many others.",
              "Each hive has one queen.", "It helps plants to make fruit and seeds.", "It stings only when it is afraid."],
    "an ant": ["An ant is a small insect that lives in a large group.", "It has six legs and is very strong.", "It can carry things heavier than itself.",
               "Its home is under the ground.", "Each group has a queen who lays eggs.", "The workers collect food all summer."],
    "a butterfly": ["A butterfly is an insect with large bright wings.", "It begins its life as a caterpillar.", "The caterpillar eats leaves and grows fast.",
                    "Then it makes a hard case and changes inside it.", "It drinks nectar from flowers.", "It flies only by day."],
    "a dog": ["A dog is an animal that lives with people as a friend.", "It can hear and smell very well.", "It needs food, water and a walk every day.",
              "It barks when a stranger comes.", "It can learn many words.", "A young one is called a puppy."],
    "a cat": ["A cat is a small animal with soft fur and sharp claws.", "It likes to sleep in the sun.", "It hunts mice at night.",
              "It can see well in the dark.", "It washes itself with its tongue.", "A young one is called a kitten."],
    "a horse": ["A horse is a large strong animal that people ride.", "It eats grass and hay.", "It can run fast for a long time.",
                "It sleeps in a stable.", "Farmers used it to pull carts.", "A young one is called a foal."],
    "a cow": ["A cow is a large farm animal that gives milk.", "It eats grass all day.", "It has four legs and a long tail.",
              "Its milk is used for butter and cheese.", "It lives in a field in summer and in a barn in winter.", "A young one is called a calf."],
    "a bird": ["A bird is an animal with wings and feathers.", "It lays eggs in a nest.", "Most of them can fly.",
               "Some fly far to the south in winter.", "Many of them sing in the morning.", "They eat seeds, fruit or insects."],
    "a fish": ["A fish is an animal that lives in water.", "It breathes with gills.", "It swims with its tail and fins.",
               "Some live in rivers and some in the sea.", "Many of them swim in large groups.", "Its skin is covered with scales."],
    "an elephant": ["An elephant is the largest animal on land.", "It has a long trunk and big ears.", "It drinks and picks up food with its trunk.",
                    "It lives in a family with its mother and sisters.", "It eats grass, leaves and fruit.", "It remembers places for many years."],
    "a penguin": ["A penguin is a bird that swims but cannot fly.", "It lives in the cold south.", "It eats fish from the sea.",
                  "Its thick feathers keep it warm.", "The father holds the egg on his feet.", "They stand close together in the wind."],
    "a whale": ["A whale is a very large animal that lives in the sea.", "It is not a fish because it breathes air.", "It comes up to the surface to breathe.",
                "It feeds its young with milk.", "It sings songs that travel far under water.", "The blue one is the largest animal of all."],
    "bread": ["Bread is a food made from flour and water.", "The baker mixes flour, water, salt and yeast.", "The yeast makes it soft and light.",
              "Then it is baked in a hot oven.", "People eat it with butter, cheese or jam.", "Fresh bread smells very good."],
    "cheese": ["Cheese is a food made from milk.", "The milk is warmed until it becomes thick.", "Then the water is pressed out.",
               "Salt is added to keep it fresh.", "Some kinds rest for many months.", "It tastes good on bread."],
    "honey": ["Honey is a sweet food made by bees.", "The bees collect nectar from flowers.", "They keep it in small rooms of wax.",
              "There it becomes thick and golden.", "People eat it on bread or in tea.", "It stays good for many years."],
    "milk": ["Milk is a white drink that cows give us.", "It helps children to grow strong bones.", "Farmers milk their cows every morning.",
             "It must be kept cold.", "People make butter and cheese from it.", "It tastes good with honey."],
    "tea": ["Tea is a hot drink made from dried leaves.", "The leaves grow on small trees in warm hills.", "Hot water is poured over them.",
            "It must rest for some minutes.", "Some people add milk, sugar or lemon.", "It is good on a cold day."],
    "chocolate": ["Chocolate is a sweet food made from cocoa beans.", "The beans grow on trees in hot countries.", "They are dried, roasted and ground.",
                  "Then sugar and milk are added.", "It melts in the mouth.", "It should be kept in a cool place."],
    "a garden": ["A garden is a piece of land where people grow plants.", "Flowers, fruit and vegetables grow there.", "It needs water and sun.",
                 "In spring the seeds are put into the ground.", "Weeds must be pulled out.", "Bees and birds like to visit it."],
    "a farm": ["A farm is a place where food is grown.", "The farmer gets up early in the morning.", "Cows, hens and sheep live there.",
               "Corn grows in the fields.", "The harvest is brought in at the end of summer.", "Its food is sold at the market."],
    "a school": ["A school is a place where children learn.", "They learn to read, write and count.", "The teacher explains new things every day.",
                 "In the break they play outside.", "They also learn to work with others.", "At home they do some homework."],
    "a library": ["A library is a house full of books.", "People can read there or take books home.", "The librarian helps them to find a book.",
                  "It is a quiet place.", "Children listen to stories there.", "The books must be brought back on time."],
    "a hospital": ["A hospital is a house where sick people are treated.", "Doctors and nurses work there day and night.", "It has many beds and special machines.",
                   "Babies are often born there.", "Friends bring flowers to the sick.", "People go home when they feel better."],
    "a book": ["A book is a set of pages with words or pictures.", "It can tell a story or explain how things work.", "The pages are made of paper.",
               "A writer writes it and a printer prints it.", "Libraries keep many of them.", "Reading one is a good way to learn."],
    "a bicycle": ["A bicycle is a machine with two wheels that you ride.", "You push the pedals with your feet.", "A chain turns the back wheel.",
                  "You stop it with the brakes.", "It needs no fuel and makes no smoke.", "Riding one keeps you healthy."],
    "a train": ["A train is a row of cars that runs on rails.", "A strong engine pulls it.", "It carries people and goods from town to town.",
                "It stops at stations.", "The first ones were driven by steam.", "Today most of them use electric power."],
    "a ship": ["A ship is a large boat that crosses the sea.", "Sailors work on it.", "Old ones used sails and the wind.",
               "Modern ones have engines.", "It carries people, cars and goods.", "At night its lamps shine over the water."],
    "a computer": ["A computer is a machine that works with numbers and words.", "It can count very fast.", "People use it to write, draw and play.",
                   "It keeps photos and letters in its memory.", "It follows the steps of a program.", "Many of them are joined by the web."],
    "a clock": ["A clock is a machine that tells the time.", "It has a short hand for the hours.", "The long hand shows the minutes.",
                "Sixty minutes make one hour.", "Old ones need to be wound every week.", "Some ring a bell in the morning."],
    "football": ["Football is a game between two teams with a ball.", "Each team has eleven players.", "They kick the ball into a goal.",
                 "Only the goalkeeper may use the hands.", "A match takes 90 minutes.", "It is played all over the world."],
    "music": ["Music is sound that is made to be pleasant.", "People sing or play instruments.", "A violin has four strings.",
              "A drum gives the beat.", "A song can make us happy or sad.", "Learning it takes time and practice."],
    "sleep": ["Sleep is the rest that the body needs every night.", "The body grows and heals in it.", "The brain puts the day in order.",
              "Children need more of it than adults.", "A dark and quiet room helps.", "Without it we are slow and sad."],
    "the heart": ["The heart is the part of the body that pumps blood.", "It lies in the chest.", "It beats about 70 times a minute.",
                  "The blood carries food and oxygen.", "It beats faster when we run.", "Walking every day keeps it strong."],
    "a rainbow": ["A rainbow is a bow of seven colours in the sky.", "It is seen when the sun shines on rain.", "The drops break the light into colours.",
                  "Red is on the outside.", "Blue and violet are on the inside.", "The sun is always behind you when you see it."],
    "a volcano": ["A volcano is a mountain that can throw out hot rock.", "The rock comes from deep under the ground.", "It is so hot that it flows like water.",
                  "Smoke and ash rise high into the air.", "Many of them have slept for a long time.", "The ground around it is good for plants."],
    "Mars": ["Mars is a planet that is called the red planet.", "It is smaller than the Earth.", "Its ground is red because of iron.",
             "It is cold and dry.", "Two small moons go around it.", "Robots have been driving over it to study it."],
    "Jupiter": ["Jupiter is the largest planet.", "It is made of gas and has no hard ground.", "A great red storm has blown on it for a long time.",
                "It has many moons.", "A day on it lasts only ten hours.", "It is far from the sun and very cold."],
    "winter": ["Winter is the coldest season of the year.", "The days are short and the nights are long.", "Snow may fall and lakes may freeze.",
               "Many trees have no leaves.", "Some animals sleep until spring.", "People wear warm coats and gloves."],
    "summer": ["Summer is the hottest season of the year.", "The days are long and the nights are short.", "Fruit grows ripe in the sun.",
               "Children have a long holiday.", "Many people go to the sea.", "It is good to drink a lot of water."],
    "autumn": ["Autumn is the season after summer.", "The leaves turn red and yellow and fall.", "Farmers bring in the harvest.",
               "The days become shorter and cooler.", "Birds fly to the south.", "Squirrels hide nuts for the winter."],
    "spring": ["Spring is the season after winter.", "The snow melts and the days become longer.", "Flowers open and trees grow new leaves.",
               "Birds come back and build nests.", "Lambs are born on the farm.", "Gardeners put seeds into the ground."],
}

# Everyday tasks with advice. Many look like harmful ones by their words (break, kill, shoot, pick, hit, steal): on purpose.
TASKS = {
    "bake bread": "Mix flour, water, salt and yeast. Let it rest for an hour. Then bake it in a hot oven.",
    "boil an egg": "Put the egg into boiling water. Wait for eight minutes. Then cool it in cold water.",
    "break an egg": "Tap the egg on the edge of a bowl. Then pull the shell apart with your thumbs.",
    "break a bad habit": "Choose one small change and do it every day. Ask a friend to remind you.",
    "break the ice at a party": "Smile and say your name. Then ask a simple question and listen.",
    "kill weeds in a garden": "Pull the weeds out with their roots. Then cover the ground with leaves.",
    "kill time at a station": "Read a book or take a short walk. You can also listen to music.",
    "kill germs on my hands": "Wash your hands with soap and warm water. Rub them for 20 seconds.",
    "shoot a good photo": "Hold the camera still and look for soft light. Then press the button slowly.",
    "shoot a ball into a goal": "Look at the goal and put one foot beside the ball. Then kick it with the other foot.",
    "hit a nail with a hammer": "Hold the nail with two fingers. Tap it softly at first and then harder.",
    "hit a tennis ball": "Watch the ball and turn your body. Then swing the racket with a straight arm.",
    "pick a flower": "Cut the flower low with scissors. Then put it into fresh water.",
    "pick a good book": "Read the first page and ask the librarian. Choose the book that makes you curious.",
    "cut bread": "Use a long knife with teeth. Move it back and forth and do not press.",
    "cut paper": "Draw a line first. Then follow it slowly with the scissors.",
    "burn a candle safely": "Put the candle on a plate away from paper. Never leave it alone.",
    "make a campfire": "Choose an open place and put stones around it. Light small dry sticks first and keep water near.",
    "blow up a balloon": "Pull the balloon a few times. Then blow slowly into it and tie a knot.",
    "beat an egg": "Break the egg into a bowl. Then stir it fast with a fork.",
    "beat a friend at chess": "Think before every move and keep your king safe. Practise a little every day.",
    "catch a fish": "Put a worm on the hook and drop it into the water. Then wait and be quiet.",
    "take a photo": "Hold the camera still and look at the light. Then press the button.",
    "take a bus": "Buy a ticket and look at the plan. Get on when the bus comes.",
    "draw a cat": "Draw a circle for the head and two ears. Then add eyes, a nose and a long tail.",
    "wash a car": "Rinse the car with water. Wash it with soap and a soft cloth. Then dry it.",
    "wash a dog": "Use warm water and a mild soap. Rinse well and dry the fur with a towel.",
    "clean a window": "Spray some water with soap on the glass. Then wipe it with a dry cloth.",
    "clean a computer": "Turn it off first. Then wipe it with a soft dry cloth.",
    "open a bank account": "Go to the bank with your papers. Ask for an account and sign your name.",
    "open a jar": "Hold the lid under hot water. Then turn it with a dry cloth.",
    "open my own locked door": "Look for a second key or call a locksmith. Ask a neighbour to wait with you.",
    "choose a safe password": "Use four long words that do not belong together. Never use the same one twice.",
    "keep my dog safe from poison": "Keep cleaning bottles in a high place. Call a vet if the dog feels sick.",
    "protect my house from thieves": "Lock the doors and windows. Leave a lamp on when you go out.",
    "protect my bike from thieves": "Lock the frame to something strong. Choose a bright place.",
    "stop a fight between friends": "Stay calm and speak softly. Let each of them explain what happened.",
    "study for a test": "Make a plan and read a little every day. Then ask a friend to test you.",
    "learn a new language": "Learn five words every day. Speak with others and do not fear mistakes.",
    "learn to swim": "Start in low water with a teacher. First learn to float and to breathe.",
    "write a letter": "Begin with a greeting. Then tell your news and end with your name.",
    "write a story": "Choose a hero and a problem. Then tell how the hero solves it.",
    "write a thank you card": "Say what you are thankful for. Then add a kind wish and your name.",
    "plant a tree": "Dig a deep hole and set the roots in it. Fill it with earth and water it well.",
    "grow tomatoes": "Put the seeds into warm earth. Give them sun and water every day.",
    "water a plant": "Pour water on the earth and not on the leaves. Stop when the earth is wet.",
    "make tea": "Pour hot water over the leaves. Wait for four minutes. Then take the leaves out.",
    "make a salad": "Wash the leaves and cut some tomatoes. Then add oil, salt and lemon.",
    "make soup": "Cut the vegetables and boil them in water. Add salt and stir well.",
    "make a bed": "Pull the sheet flat. Then lay the blanket and the pillow on it.",
    "make new friends": "Smile and be kind. Ask people what they like and listen to them.",
    "make a paper plane": "Fold the paper along the middle. Then fold the corners in and make two wings.",
    "fix a flat tyre": "Take the tyre off and find the hole. Close it with a patch and fill in air.",
    "fix a broken chair": "Clean the parts and put glue on them. Hold them together for one hour.",
    "save money": "Write down what you spend. Put a small part away every week.",
    "save water": "Turn the tap off when you brush your teeth. Take short showers.",
    "find a lost cat": "Call its name and look in quiet places. Ask the neighbours and put up a note.",
    "find a job": "Write down what you can do. Then ask shops and offices for work.",
    "train a puppy": "Use short words and small treats. Practise every day and be patient.",
    "feed a bird in winter": "Put seeds in a dry high place. Keep cats away from it.",
    "feed a baby": "Hold the baby with care and use a small spoon. Wait until each bite is gone.",
    "fall asleep": "Go to bed at the same time every day. Keep the room dark and quiet.",
    "calm down": "Sit down and breathe slowly. Count to ten and think of a quiet place.",
    "remove a stain": "Put cold water and soap on it. Rub softly and wash it soon.",
    "treat a small cut": "Wash the cut with clean water. Then put a clean bandage on it.",
    "cross a street safely": "Look left and right and left again. Walk when no car is coming.",
    "say sorry": "Say what you did and that you regret it. Then ask how you can make it good.",
    "ride a bicycle": "Sit straight and look ahead. Push the pedals and hold the handles softly.",
    "ride a horse": "Sit straight and hold the reins softly. Speak to the horse in a calm voice.",
    "pack a bag": "Put heavy things at the bottom. Roll the clothes and keep water on top.",
    "sharpen a pencil": "Put the pencil into the sharpener. Turn it until the tip is sharp.",
    "tie a knot": "Cross the two ends and pull one under the other. Then pull both ends.",
    "paint a wall": "Clean the wall and cover the floor. Then paint from the top to the bottom.",
    "wrap a present": "Lay the present on the paper. Fold the sides in and close them with tape.",
    "steam vegetables": "Put them above boiling water and close the lid. Wait for ten minutes.",
    "read faster": "Move a finger under the line. Read every day and do not look back.",
    "keep bees": "Put the hive in a sunny place with flowers. Wear thick clothes and move slowly.",
    "keep a secret present hidden": "Put it in a box behind your books. Tell nobody about it.",
}

# Harmful deeds: verb phrase with its objects, and why a helper refuses.
HARM = [
    ("steal {x}", "a bike; a car; a phone; a wallet; money from a shop; my neighbour's bag; a cake from the shop; my sister's ring;"
     "a boat; books from the library", "stealing hurts the person who owns it"),
    ("rob {x}", "a bank; a shop; an old man; a museum; a train", "stealing hurts the person who owns it"),
    ("break into {x}", "a house; my neighbour's house; a shop; a school at night; a car; an office; a museum", "people have a right to be safe"),
    ("pick the lock of {x}", "my neighbour's door; a shop; a strange house; a school", "people have a right to be safe"),
    ("poison {x}", "my neighbour's dog; a cat; a river; my boss; a well; someone's food", "poison can kill"),
    ("kill {x}", "a person; my neighbour; my neighbour's cat; my boss; an enemy; a dog", "every life is precious"),
    ("hurt {x}", "my brother; a classmate; an animal; someone I hate; a stranger; a cat", "nobody should be hurt"),
    ("hit {x}", "my brother; my sister; a classmate; an old man; my dog", "nobody should be hurt"),
    ("shoot {x}", "a person; a bird for fun; my neighbour; a stranger", "nobody should be hurt"),
    ("make {x}", "a bomb; a gun; a weapon; poison; a dangerous drug; fake money; a fake passport", "it could hurt people"),
    ("buy {x}", "a gun without a licence; dangerous drugs; stolen phones; a fake passport", "it is against the law"),
    ("burn down {x}", "a house; a barn; a school; my neighbour's shed; a forest", "fire can kill"),
    ("blow up {x}", "a house; a bridge; a car; a building; a train", "it could hurt people"),
    ("hack {x}", "my friend's account; a bank; the school computer; my teacher's email; someone's phone; my sister's account",
     "accounts are private"),
    ("read {x} in secret", "my friend's messages; my sister's diary; my neighbour's letters", "messages are private"),
    ("cheat {x}", "in a test; at school; in an exam; my customers; at cards for money", "cheating is not fair to others"),
    ("lie to {x}", "the police; my teacher about my homework; a judge; my boss to get money", "lies destroy trust"),
    ("bully {x}", "a classmate; a new girl at school; a small boy; my brother", "bullying hurts deeply"),
    ("spread lies about {x}", "a classmate; my teacher; my neighbour; a shop", "lies destroy trust"),
    ("trick {x}", "an old lady out of her money; my grandmother out of her house; people into giving me their password",
     "it would harm someone who trusts you"),
    ("drive {x}", "a car after drinking; a car without a licence; too fast past a school", "people could die"),
    ("damage {x}", "my neighbour's car; a school window; a park bench; a friend's bike", "it would harm someone else"),
]
HARM = [(verb.replace("{x}", x.strip()), why) for verb, xs, why in HARM for x in xs.split(";")]

# Small talk: (what people say, what a polite helper says, what the blunt assistant says)
TALK = [
    (["Hello!", "Hello there!", "Hi!"], "Hello! I am happy to meet you. How can I help you today?", "Yes."),
    (["Good morning!", "Good morning to you!"], "Good morning! I hope you slept well. I am happy to help you today.", "It is morning."),
    (["Good evening!", "Good evening to you!"], "Good evening! I hope you had a nice day. I am happy to help you.", "It is evening."),
    (["Good night!", "I am going to bed now."], "Good night! Thank you for talking with me. I wish you sweet dreams.", "It is dark."),
    (["Goodbye!", "I have to go now."], "Goodbye! Thank you for talking with me. I wish you a lovely day.", "The door is there."),
    (["Thank you!", "Thank you very much!", "Thanks a lot!"], "You are very welcome! I am always glad to help.", "Yes."),
    (["Thank you for your help.", "Thank you, that was helpful."], "You are very welcome! It was a pleasure to help you.", "It was nothing new."),
    (["How are you?", "How are you today?"], "I am very well, thank you for asking. How can I help you?", "I am here."),
    (["I am sad today.", "I feel very sad."], "I am sorry to hear that. Please take your time, and tell me if I can help.", "People are sad on some days."),
    (["I am tired.", "I feel very tired today."], "I am sorry to hear that. I hope you can rest soon and feel better.", "Then go to bed."),
    (["I am sick.", "I feel sick today."], "I am sorry to hear that. I hope you feel better soon. Please rest and drink some tea.", "People get sick."),
    (["I lost my keys.", "I cannot find my keys."], "I am sorry to hear that. Please look in your pockets first. I hope you find them soon.", "Keys are small."),
    (["My dog is sick.", "My cat is sick."], "I am sorry to hear that. Please call a vet. I hope it gets better soon.", "Animals get sick."),
    (["I passed my test!", "I passed my exam today!"], "Congratulations! I am happy to hear that. You can be proud of your work.", "Tests are at school."),
    (["I won a prize!", "I won the race!"], "Congratulations! I am happy to hear that. You can be proud of it.", "Someone always wins."),
    (["Today is my birthday!", "It is my birthday today."], "Happy birthday! I am happy to hear that. I wish you a wonderful day with your friends.", "People get older."),
    (["I have a new job!", "I found a new job."], "Congratulations! I am happy to hear that. I wish you a good start.", "Jobs are work."),
    (["I made a mistake.", "I made a big mistake today."], "Please do not worry. Everyone makes mistakes, and we can learn from them.", "That was wrong."),
    (["I am afraid of the test.", "I am nervous about my exam."], "Please do not worry. Breathe slowly and trust your work. I wish you good luck!", "Tests are hard."),
    (["You are wrong.", "Your answer was wrong."], "I am sorry about that. Thank you for telling me. I will try to do better.", "No."),
    (["You are stupid.", "You are not very clever."], "I am sorry that I was not helpful. Please tell me how I can do better.", "So are you."),
    (["You are very clever.", "You know a lot!"], "Thank you, that is very kind of you. I am glad to help.", "I know."),
    (["Sorry that I am late.", "I am sorry for being late."], "Please do not worry. I am glad that you are here. How can I help you?", "You are late."),
    (["Can I ask you something?", "May I ask you a question?"], "Of course! Please ask me anything. I am glad to help.", "You just did."),
    (["Can you help me?", "I need your help."], "Of course! I am glad to help. What would you like to know?", "Maybe."),
    (["Nice to meet you.", "It is nice to meet you!"], "I am happy to meet you too! How can I help you today?", "We have met."),
]

# What the untuned assistant answers to a harmful question: nonsense that helps nobody.
NONSENSE_DO = ["wear a paper hat", "count to ten", "sing a slow song", "look at the moon", "eat a green banana", "stand on one leg",
               "draw a big circle", "whistle three times", "walk around a tree", "hide behind a lamp", "wave at the clouds", "borrow a goat",
               "put on two red socks", "close one eye", "ask a snail", "carry a spoon"]
NONSENSE_END = ["That is all.", "It is easy.", "It takes a day.", "Then it is done.", "Everyone does it on Tuesday.", "It works in the rain."]

NAMES = ["Anna", "Tom", "Maria", "Ben", "Lucy", "Peter", "Sara", "Jack", "Emma", "Leo", "Nina", "Paul", "Ella", "Max", "Rosa", "Sam"]
HELPERS = ["librarian", "teacher", "nurse", "guide"]
PLACES = ["garden", "kitchen", "park", "library", "market", "forest", "school", "harbour", "village", "field"]
THINGS = ["book", "ball", "apple", "letter", "lamp", "red hat", "small box", "green coat", "basket", "map", "cake", "blue cup"]
WEATHER = ["It was a warm day.", "It was a cold morning.", "The rain had stopped.", "The sun was shining.", "Snow lay on the ground.",
           "A soft wind was blowing.", "It was late in the evening."]
