"""Which generated sound stands for which class of the four benchmarks.

Each table maps a data set's class, spelled and ordered as there, to a key of
`afpt_plugin.synth.SOUNDS`. Generators are shared: a dog is a dog in all four.

Authors
 * The afpt_plugin developers 2026
"""

#: ESC-50's categories in the order of its targets 0 to 49.
ESC50 = {
    name: name.replace("_", " ")
    for name in (
        "dog rooster pig cow frog cat hen insects sheep crow rain sea_waves "
        "crackling_fire crickets chirping_birds water_drops wind pouring_water "
        "toilet_flush thunderstorm crying_baby sneezing clapping breathing "
        "coughing footsteps laughing brushing_teeth snoring drinking_sipping "
        "door_wood_knock mouse_click keyboard_typing door_wood_creaks "
        "can_opening washing_machine vacuum_cleaner clock_alarm clock_tick "
        "glass_breaking helicopter chainsaw siren car_horn engine train "
        "church_bells airplane fireworks hand_saw"
    ).split()
}

#: The categories of the ESC-10 subset.
ESC10 = set(
    "dog rooster rain sea_waves crackling_fire crying_baby sneezing "
    "clock_tick helicopter chainsaw".split()
)

#: UrbanSound8K's classes in the order of its classIDs 0 to 9.
US8K = {
    "air_conditioner": "air conditioner",
    "car_horn": "car horn",
    "children_playing": "children playing",
    "dog_bark": "dog",
    "drilling": "drilling",
    "engine_idling": "engine",
    "gun_shot": "gun shot",
    "jackhammer": "jackhammer",
    "siren": "siren",
    "street_music": "street music",
}

#: DCASE2019 task 4's classes in alphabetical order.
DCASE2019 = {
    "Alarm_bell_ringing": "alarm bell",
    "Blender": "blender",
    "Cat": "cat",
    "Dishes": "dishes clatter",
    "Dog": "dog",
    "Electric_shaver_toothbrush": "electric shaver",
    "Frying": "frying",
    "Running_water": "water tap",
    "Speech": "speech",
    "Vacuum_cleaner": "vacuum cleaner",
}

#: FSDKaggle2019's classes in the order of its vocabulary.
FSD2019 = {
    "Accelerating_and_revving_and_vroom": "revving engine",
    "Accordion": "accordion",
    "Acoustic_guitar": "guitar",
    "Applause": "applause",
    "Bark": "dog",
    "Bass_drum": "bass drum",
    "Bass_guitar": "bass guitar",
    "Bathtub_(filling_or_washing)": "bathtub filling",
    "Bicycle_bell": "bicycle bell",
    "Burping_and_eructation": "burping",
    "Bus": "bus",
    "Buzz": "buzz",
    "Car_passing_by": "car passing",
    "Cheering": "cheering",
    "Chewing_and_mastication": "chewing",
    "Child_speech_and_kid_speaking": "child speech",
    "Chink_and_clink": "glasses clink",
    "Chirp_and_tweet": "chirping birds",
    "Church_bell": "church bells",
    "Clapping": "clapping",
    "Computer_keyboard": "keyboard typing",
    "Crackle": "crackling fire",
    "Cricket": "crickets",
    "Crowd": "crowd chatter",
    "Cupboard_open_or_close": "cupboard",
    "Cutlery_and_silverware": "cutlery",
    "Dishes_and_pots_and_pans": "dishes clatter",
    "Drawer_open_or_close": "drawer",
    "Drip": "water drops",
    "Electric_guitar": "electric guitar",
    "Fart": "fart",
    "Female_singing": "female singing",
    "Female_speech_and_woman_speaking": "female speech",
    "Fill_(with_liquid)": "pouring water",
    "Finger_snapping": "finger snapping",
    "Frying_(food)": "frying",
    "Gasp": "gasp",
    "Glockenspiel": "glockenspiel",
    "Gong": "gong",
    "Gurgling": "bubbling",
    "Harmonica": "harmonica",
    "Hi-hat": "hi-hat",
    "Hiss": "steam hiss",
    "Keys_jangling": "keys jangling",
    "Knock": "door wood knock",
    "Male_singing": "male singing",
    "Male_speech_and_man_speaking": "male speech",
    "Marimba_and_xylophone": "marimba",
    "Mechanical_fan": "fan",
    "Meow": "cat",
    "Microwave_oven": "microwave oven",
    "Motorcycle": "motorcycle",
    "Printer": "printer",
    "Purr": "cat purr",
    "Race_car_and_auto_racing": "race car",
    "Raindrop": "raindrops",
    "Run": "running",
    "Scissors": "scissors",
    "Screaming": "scream",
    "Shatter": "glass breaking",
    "Sigh": "sigh",
    "Sink_(filling_or_washing)": "sink",
    "Skateboard": "skateboard",
    "Slam": "door slam",
    "Sneeze": "sneezing",
    "Squeak": "squeak",
    "Stream": "stream",
    "Strum": "guitar strum",
    "Tap": "tapping",
    "Tick-tock": "clock tick",
    "Toilet_flush": "toilet flush",
    "Traffic_noise_and_roadway_noise": "traffic",
    "Trickle_and_dribble": "trickling water",
    "Walk_and_footsteps": "footsteps",
    "Water_tap_and_faucet": "water tap",
    "Waves_and_surf": "sea waves",
    "Whispering": "whispering",
    "Writing": "writing",
    "Yell": "yelling",
    "Zipper_(clothing)": "zipper",
}
