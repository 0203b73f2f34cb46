"""Words to draw from. People, businesses and banks are made up; the places are real suburbs with their postcodes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AREA_CODES",
    "BANK_STEMS",
    "BANK_TAILS",
    "BUSINESS_WORDS",
    "CODAS",
    "GIVEN_NAMES",
    "LEGAL_FORMS",
    "LOCALITIES",
    "ONSETS",
    "POSTCODES",
    "STREETS",
    "STREET_TYPES",
    "SURNAMES",
    "VOWELS",
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN_NAMES: tuple[str, ...] = _words("""
    Aaliyah Aarav Abigail Adrian Ahmed Aisha Alexandros Alinta Amara Amelia Ananya Angus Anh Arjun Ashleigh
    Astrid Bao Beatrice Bindi Bridget Callum Carlos Catriona Chiara Chloe Daniel Darcy Deepika Dimitri Dragana
    Duc Eamon Elena Eliza Emeka Emily Enzo Esra Farah Fergus Fiona Freya Gabriel Giulia Grace Hamish Hana
    Harpreet Hassan Hiroshi Hugo Ibrahim Imogen Indira Isla Ivana Jack Jarrah Jasmine Jin Joao Jorge Kaito
    Karim Kavita Keiko Kieran Kirra Lachlan Leila Liam Linh Lucia Mackenzie Mahmoud Malia Marcus Maria Mateo
    Mei Mia Miriam Mohammed Nadia Naomi Neha Niamh Nikolai Noah Olga Oliver Omar Oscar Padma Paolo Patrick
    Penelope Priya Quentin Rahul Rebecca Rhys Rohan Rosa Ruby Saanvi Samir Sanjay Saoirse Sienna Sione Sofia
    Stavros Sunita Tahlia Tane Tariq Teresa Thanh Thomas Tomasz Uma Valentina Vikram Wei Willow Xavier Yasmin
    Yuki Yusuf Zahra Zara Zoe
""")

SURNAMES: tuple[str, ...] = _words("""
    Abbott Abdullah Agarwal Andersson Antoniou Bannister Barwick Begum Bennett Bianchi Blackwood Brennan
    Calloway Campbell Castellano Chandra Chaudhary Chen Choi Cooper Costa Dang Davies Delacroix Demir Dhillon
    Doherty Dubois Eriksen Fairweather Farouk Fernandez Fitzgerald Fonseca Fraser Gallagher Georgiou Ghosh
    Goldberg Gupta Hadley Haddad Hansen Hargreaves Hernandez Ho Horvat Hussain Ibrahim Ivanov Iyer Jankowski
    Jensen Kapoor Karagiannis Kaur Kelleher Khan Kim Kovacs Kowalski Kumar Lam Larsen Lefebvre Li Lindqvist
    Lombardi Macdonald Mahoney Malik Marchetti McAllister McIntyre Mehta Mensah Mitchell Morrison Murray
    Nakamura Naidu Ngata Nguyen Novak O'Brien O'Connor O'Sullivan Okafor Osman Papadopoulos Park Patel Pereira
    Petrov Pham Popovic Prescott Quach Rahman Ramirez Reid Romano Rossi Ryan Saito Sandhu Santos Schneider
    Seymour Sharma Singh Smithfield Sokolov Sorensen Stojanovic Sullivan Suzuki Tanaka Taufa Thompson Tran
    Tupou Underwood Vandermeer Vasquez Volkov Walsh Wang Watanabe Whitfield Wilkinson Wong Wu Yamamoto Yilmaz
    Zammit Zhang Zielinski
""")

STREETS: tuple[str, ...] = _words("""
    Acacia Albert Anzac Ashgrove Banksia Barkly Beaufort Bellbird Blackwattle Boundary Bridge Brunswick Burke
    Callistemon Canning Cedar Charlotte Church Clarence Commercial Coolabah Darling Dawson Elizabeth Emu
    Ferntree Flinders Fraser George Gilbert Glebe Grevillea Hampton Harbour Heath Hunter Industrial Ironbark
    Jacaranda Jarrah Kangaroo Karri Kestrel King Kookaburra Kurrajong Lachlan Lagoon Lonsdale Lorikeet
    Macquarie Magpie Main Mallee Marine Melaleuca Mitchell Myrtle Nepean Nicholson Ocean Orchard Parkes
    Percival Pine Queen Railway Redgum Regent River Rosella Rundle Saltbush School Scott Spencer Stirling
    Stuart Sturt Swan Tamar Terrace Torrens Victoria Wattle Wentworth Whitegum William Woodlark Yarra York
""")

STREET_TYPES: tuple[str, ...] = (
    "Street", "Street", "Street", "Road", "Road", "Avenue", "Parade", "Place", "Court", "Crescent", "Drive", "Lane",
    "Terrace", "Highway", "Way", "Close", "St", "St", "Rd", "Ave", "Cres", "Dr",
)  # fmt: skip

LOCALITIES: tuple[tuple[str, str, str], ...] = (
    ("Surry Hills", "NSW", "2010"), ("Newtown", "NSW", "2042"), ("Parramatta", "NSW", "2150"),
    ("Penrith", "NSW", "2750"), ("Wollongong", "NSW", "2500"), ("Newcastle", "NSW", "2300"),
    ("Byron Bay", "NSW", "2481"), ("Orange", "NSW", "2800"), ("Dubbo", "NSW", "2830"),
    ("Wagga Wagga", "NSW", "2650"), ("Coffs Harbour", "NSW", "2450"), ("Marrickville", "NSW", "2204"),
    ("Chatswood", "NSW", "2067"), ("Tamworth", "NSW", "2340"), ("Albury", "NSW", "2640"),
    ("Braddon", "ACT", "2612"), ("Kingston", "ACT", "2604"), ("Belconnen", "ACT", "2617"),
    ("Gungahlin", "ACT", "2912"), ("Fyshwick", "ACT", "2609"), ("Carlton", "VIC", "3053"),
    ("Fitzroy", "VIC", "3065"), ("Footscray", "VIC", "3011"), ("Brunswick", "VIC", "3056"),
    ("Geelong", "VIC", "3220"), ("Ballarat", "VIC", "3350"), ("Bendigo", "VIC", "3550"),
    ("Dandenong", "VIC", "3175"), ("Shepparton", "VIC", "3630"), ("Mildura", "VIC", "3500"),
    ("Richmond", "VIC", "3121"), ("Box Hill", "VIC", "3128"), ("Traralgon", "VIC", "3844"),
    ("Fortitude Valley", "QLD", "4006"), ("Toowoomba City", "QLD", "4350"), ("Cairns City", "QLD", "4870"),
    ("Townsville City", "QLD", "4810"), ("Southport", "QLD", "4215"), ("Noosa Heads", "QLD", "4567"),
    ("Ipswich", "QLD", "4305"),
    ("Mackay", "QLD", "4740"), ("West End", "QLD", "4101"), ("Bundaberg Central", "QLD", "4670"),
    ("Glenelg", "SA", "5045"),
    ("Norwood", "SA", "5067"), ("Port Adelaide", "SA", "5015"), ("Mount Gambier", "SA", "5290"),
    ("Whyalla", "SA", "5600"), ("Unley", "SA", "5061"), ("Murray Bridge", "SA", "5253"),
    ("Fremantle", "WA", "6160"), ("Subiaco", "WA", "6008"), ("Joondalup", "WA", "6027"), ("Bunbury", "WA", "6230"),
    ("Geraldton", "WA", "6530"), ("Kalgoorlie", "WA", "6430"), ("Broome", "WA", "6725"), ("Midland", "WA", "6056"),
    ("Sandy Bay", "TAS", "7005"),
    ("Launceston", "TAS", "7250"), ("Devonport", "TAS", "7310"), ("Burnie", "TAS", "7320"),
    ("Glenorchy", "TAS", "7010"),
    ("Parap", "NT", "0820"), ("Palmerston City", "NT", "0830"), ("Alice Springs", "NT", "0870"),
)  # fmt: skip

POSTCODES: Mapping[str, tuple[int, int]] = MappingProxyType({
    "NSW": (2000, 2599), "ACT": (2600, 2618), "VIC": (3000, 3996), "QLD": (4000, 4895), "SA": (5000, 5734),
    "WA": (6000, 6770), "TAS": (7000, 7470), "NT": (800, 886),
})  # fmt: skip
"""A span of street postcodes that lies wholly in the state, for places that are made up."""

AREA_CODES: Mapping[str, str] = MappingProxyType({
    "NSW": "02", "ACT": "02", "VIC": "03", "TAS": "03", "QLD": "07", "SA": "08", "WA": "08", "NT": "08",
})  # fmt: skip

BUSINESS_WORDS: tuple[str, ...] = _words("""
    Anchor Banksia Bayside Billabong Bluegum Boronia Brolga Cassowary Coastal Compass Coolibah Copper Coral
    Cormorant Cygnet Dingo Driftwood Eastside Eucalypt Evergreen Ferndale Galah Golden Granite Greenfield
    Harbourview Headland Hillside Honeyeater Ibis Ironstone Jabiru Kingfisher Lantern Lighthouse Limestone
    Lyrebird Mangrove Meridian Mulberry Northern Outback Paperbark Pelican Pioneer Platypus Quokka Rainbow
    Redback Riverbend Rosewood Saltwater Sandstone Seabreeze Silver Southern Spinifex Summit Sunrise Tallow
    Tidewater Valley Wallaby Waratah Western Wildflower Wombat Yabby
""")

LEGAL_FORMS: tuple[str, ...] = ("Pty Ltd", "Pty Ltd", "Pty Ltd", "Pty. Ltd.", "Pty Limited", "P/L", "Ltd")

BANK_STEMS: tuple[str, ...] = _words("""
    Banksia Boronia Brolga Coolabah Currawong Gumnut Ironbark Jacana Karri Kurrajong Mallee Melaleuca Murrumba
    Paperbark Saltbush Sandpiper Spinifex Stringybark Tamarillo Tallowood Wandoo Wattlebrook Yarran
""")
BANK_TAILS: tuple[str, ...] = (
    "Bank", "Bank", "Bank Limited", "Mutual Bank", "Mutual", "Credit Union", "Community Bank", "Building Society",
    "Savings Bank", "& Western Bank", "Banking Corporation",
)  # fmt: skip

# syllables of words that no dictionary holds; what is common stands here more than once
ONSETS: tuple[str, ...] = _words("""
    b c d f g h j k l m n p r s t v w y z b c d f g h l m n p r s t br cl dr fl gr pr qu sk st th tr
""")
VOWELS: tuple[str, ...] = _words("a e i o u a e i o u a e i o u ai ea oo ie")
CODAS: tuple[str, ...] = ("", "", "", "", "l", "n", "r", "s", "m", "nd", "rt", "ck", "x", "ll", "ng")
