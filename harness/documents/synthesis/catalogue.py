"""What businesses sell: trades, their names, and their goods with price ranges, GST status and variants."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SERVICES", "SHOPS", "Good", "Trade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """Something with a price; `low` and `high` in dollars."""

    name: str
    low: float
    high: float
    gst_free: bool = False
    by_measure: bool = False
    """Sold by weight (shops) or by the hour (services): the quantity may have decimals."""
    variants: tuple[str, ...] = ()
    """What may follow the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A line of business; `tails` end the names of those in it."""

    tails: tuple[str, ...]
    goods: tuple[Good, ...]


def _trade(tails: str, table: str) -> Trade:
    """Parse comma-separated tails, and rows of `name; low-high; flags; variant, variant`.

    Flag f is GST-free, m is sold by measure.
    """
    goods = []
    for row in table.strip().splitlines():
        name, span, flags, variants = (cell.strip() for cell in row.split(";"))
        low, high = span.split("-")
        goods.append(
            Good(
                name=name,
                low=float(low),
                high=float(high),
                gst_free="f" in flags,
                by_measure="m" in flags,
                variants=tuple(v.strip() for v in variants.split(",") if v.strip()),
            )
        )
    return Trade(tails=tuple(t.strip() for t in tails.split(",")), goods=tuple(goods))


SHOPS: tuple[Trade, ...] = (
    _trade(
        "Grocer, Foods, Fresh Market, Food Store, Supermarket, Pantry, Grocery",
        """
        Full Cream Milk; 2-6; f; 1L, 2L, 3L
        Sourdough Loaf; 4-9; f; Sliced, Seeded, 700g
        Free Range Eggs; 5-10; f; 12pk, 700g, Jumbo
        Bananas; 2.9-5.5; fm;
        Pink Lady Apples; 3.5-6.9; fm;
        Lamb Cutlets; 29-49; fm;
        Chicken Thigh Fillets; 11-18; fm;
        Baby Spinach; 3-5; f; 120g, 280g
        Basmati Rice; 4-16; f; 1kg, 5kg
        Rolled Oats; 3-8; f; 500g, 1kg
        Corn Chips; 3-6; ; 200g, Cheese, Salted
        Dark Chocolate; 3-7; ; 70%, 180g, Almond
        Lemonade; 2-5; ; 1.25L, No Sugar, 6pk
        Dishwashing Liquid; 3-7; ; Lemon, 450mL
        Laundry Powder; 8-22; ; 2kg, Sensitive
        Paper Towel; 3-8; ; 2pk, 4pk
        Toothpaste; 3-9; ; 110g, Mint, Kids
        Vanilla Ice Cream; 6-13; ; 2L, 500mL
        Olive Oil; 9-24; f; 750mL, Extra Virgin, 1L
        Tasty Cheese Block; 8-15; f; 500g, 1kg""",
    ),
    _trade(
        "Cafe, Coffee Roasters, Kitchen, Espresso Bar, Bistro, Eatery, Noodle House, Tea Rooms",
        """
        Flat White; 4.5-6.5; ; Large, Oat Milk, Extra Shot, Takeaway
        Long Black; 4-5.5; ; Large, Takeaway
        Cappuccino; 4.5-6.5; ; Large, Soy, Decaf
        Iced Latte; 6-8.5; ; Almond, Large
        Chai; 5-7; ; Dirty, Loose Leaf
        Smashed Avocado; 18-26; ; Feta, Vegan, Poached Egg
        Eggs Benedict; 20-27; ; Ham, Salmon
        Bacon & Egg Roll; 11-16; ; No Sauce, GF
        Banana Bread; 6-9; ; Toasted
        Lamington; 5-7.5; ; Raspberry
        Beef Burger; 19-28; ; No Pickle, Add Cheese
        Fish & Chips; 22-34; ; Grilled, Large
        Laksa; 17-24; ; Chicken, Seafood, Tofu
        Pad Thai; 17-23; ; Prawn, Vegetarian
        Garden Salad; 9-15; ; Small, No Onion
        Sparkling Water; 4-8; ; 500mL, 1L
        Fresh Orange Juice; 7-10; ;
        Kids Pasta; 12-16; ; Napoli""",
    ),
    _trade(
        "Pharmacy, Chemist, Day & Night Pharmacy, Compounding Pharmacy",
        """
        Prescription Dispensed; 7.7-31; f; General, Concession
        Paracetamol 500mg; 3-9; ; 20 Tabs, 100 Tabs
        Ibuprofen 200mg; 5-14; ; 24 Caps, 48 Tabs
        Sunscreen SPF50+; 11-28; f; 200mL, Sport, 1L
        Bandage Roll; 4-12; ; 5cm, 10cm
        Vitamin D; 12-30; ; 60 Caps, 250 Caps
        Hand Cream; 7-19; ; 50mL, 125mL
        Blood Glucose Strips; 19-45; f; 50s, 100s
        Nasal Spray; 9-21; ; 15mL
        Shampoo; 8-18; ; 375mL, Dry Scalp
        Digital Thermometer; 18-55; ;
        Reading Glasses; 15-35; ; +1.5, +2.0""",
    ),
    _trade(
        "Hardware, Timber & Hardware, Trade Supplies, Paint & Tool Centre, Home Timber",
        """
        Decking Screws; 9-38; ; 500pk, 65mm, Stainless
        Treated Pine Post; 12-46; ; 2.4m, 3.0m
        Exterior Paint; 45-110; ; 4L White, 10L
        Cordless Drill Kit; 99-289; ; 18V
        Masking Tape; 4-12; ; 24mm, 36mm
        Garden Hose; 19-65; ; 15m, 30m
        Builders Bucket; 3-11; ; 9L, 20L
        LED Downlight; 9-32; ; 9W, Warm White
        Silicone Sealant; 8-18; ; Clear, White 300g
        Paint Roller Set; 11-33; ; 230mm
        Claw Hammer; 14-49; ; 16oz, 20oz
        Concrete Mix; 7-13; ; 20kg
        Hinge Pair; 5-17; ; 85mm, Brass
        Sandpaper Assorted; 4-15; ; 10pk
        Work Gloves; 5-22; ; L, XL, Leather""",
    ),
    _trade(
        "Books, Booksellers, Books & Gifts, Stationers, Newsagency",
        """
        The Salt Road; 19-35; ; Paperback, Hardcover
        Birds of the Murray; 35-60; ; Hardcover, Signed
        Cooking With Wattleseed; 29-50; ;
        Ruled Notebook; 5-25; ; A4, A5
        Gel Pens; 4-16; ; 3pk, Blue, Black
        Wall Calendar; 15-30; ; 2026
        Greeting Card; 4-9; ; Birthday, Blank
        Jigsaw Puzzle; 25-50; ; 1000pc, 500pc
        Picture Atlas; 25-45; ;
        Desk Diary; 15-40; ; Week to View, A5
        Wrapping Paper; 4-9; ; 3m, Gold
        Crossword Collection; 8-15; ; Vol 12""",
    ),
    _trade(
        "Nursery, Garden Centre, Plants & Pots, Landscape Supplies, Florist",
        """
        Grevillea Robyn Gordon; 12-35; ; 140mm, 200mm
        Lemon Tree; 35-80; ; Dwarf, 250mm
        Premium Potting Mix; 9-20; ; 25L
        Terracotta Pot; 8-65; ; 20cm, 35cm
        Slow Release Fertiliser; 12-38; ; 1kg, 5kg
        Kangaroo Paw; 13-29; ; Red, Yellow 140mm
        Seed Packet; 3-7; ; Basil, Carrot, Sunflower
        Sugar Cane Mulch; 14-27; ; 60L
        Secateurs; 19-75; ; Bypass
        Fern Basket; 25-60; ;
        Watering Can; 12-45; ; 9L
        Rose Bouquet; 45-120; ; Dozen, Mixed""",
    ),
    _trade(
        "Homewares, Department Store, Bazaar, Outfitters, Clothing Co, Variety Store",
        """
        Bath Towel; 12-45; ; Navy, Ribbed, Set of 2
        Quilt Cover; 59-199; ; Queen, King
        Linen Shirt; 49-129; ; Size M, Size L, White
        Denim Jeans; 59-160; ; Size 10, Size 34
        Coffee Mug; 6-22; ; Stoneware, Set of 4
        Table Lamp; 39-149; ; Brass, Rattan
        Cushion; 19-60; ; Olive, 50cm
        Storage Basket; 12-40; ; Large, Seagrass
        Wool Jumper; 69-180; ; Charcoal, Size S
        Glass Tumblers; 15-49; ; Set of 4, Set of 6
        Picnic Rug; 29-89; ;
        Sun Hat; 15-59; ; Wide Brim, Kids""",
    ),
    _trade(
        "Pet Supplies, Pets & Produce, Veterinary Clinic, Aquarium Centre",
        """
        Dry Dog Food; 19-98; ; 3kg, 12kg, Puppy
        Cat Litter; 9-28; ; 7kg, Clumping
        Flea Treatment; 29-85; ; 3pk, Large Dog
        Dog Lead; 12-45; ; 1.2m, Red
        Chew Toy; 6-25; ; Small
        Bird Seed Mix; 8-30; ; 2kg, Parrot
        Fish Flakes; 6-17; ; 55g
        Nail Trim; 15-30; ;
        Cat Scratcher; 25-99; ;
        Worming Tablets; 14-48; ; 4pk, 20kg Dog""",
    ),
)

SERVICES: tuple[Trade, ...] = (
    _trade(
        "Electrical, Electrical Services, Electrical Contractors, Power & Data",
        """
        Electrician labour; 85-140; m; after hours, - workshop, weekday rate
        Switchboard upgrade; 850-2400; ; as quoted, - unit 3
        Supply and fit double power point; 90-190; ; - kitchen, weatherproof
        LED downlight installation; 65-120; ; dimmable, - hallway
        Safety switch RCD; 110-240; ; 2 pole
        Smoke alarm interconnected; 120-210; ; 240V, wireless
        Callout fee; 80-150; ; after hours
        Test and tag appliances; 4-9; ;
        Data cabling Cat6 run; 130-260; ; - level 1, incl. testing
        Ceiling fan installation; 150-320; ; - bedroom 2""",
    ),
    _trade(
        "Plumbing, Plumbing & Gas, Drainage Services, Roof Plumbing",
        """
        Plumber labour; 95-150; m; emergency, - second person
        Hot water system 250L; 1200-2600; ; electric, gas, incl. removal of old unit
        Blocked drain clearing; 180-420; ; - rear boundary
        Mixer tap replacement; 160-390; ; - laundry
        CCTV drain inspection; 220-360; ; incl. report
        Copper pipe 20mm; 18-42; ; per metre
        Gas compliance certificate; 110-190; ;
        Toilet suite installation; 380-790; ; - ensuite
        Backflow test; 150-260; ;""",
    ),
    _trade(
        "IT Solutions, Software, Digital, Technology Partners, Cloud Services, Web Studio",
        """
        Senior developer; 120-220; m; - sprint 14, remote
        Managed support plan; 190-900; ; July, August, silver
        Website hosting; 25-90; ; annual, monthly
        Domain renewal; 18-60; ; 2 years
        Network switch 24 port; 320-980; ; PoE
        Laptop configuration; 95-240; ; per device
        Security audit; 900-3800; ; - phase 1
        Data migration; 450-2600; ; incl. verification
        Backup storage 1TB; 30-120; ; monthly
        Wireless access point; 190-460; ; outdoor
        Project management; 130-190; m; - stage 2""",
    ),
    _trade(
        "Consulting, Advisory, Accounting, Legal, Engineering, Surveyors, Architects",
        """
        Professional fees; 150-420; m; - principal, - associate
        Company tax return; 900-2800; ; FY24, FY25
        Quarterly BAS preparation; 280-640; ; Q1, Q3
        Contract review; 450-1900; ; - lease, - supply agreement
        Site survey; 650-2400; ; incl. plan
        Structural report; 900-3200; ; draft, final
        Document preparation; 120-480; ;
        Search and filing fees; 40-180; ;
        Travel and disbursements; 60-540; ; - March
        Board workshop facilitation; 1200-3600; ; full day, half day""",
    ),
    _trade(
        "Landscaping, Garden Care, Tree Services, Property Maintenance, Cleaning Services",
        """
        Lawn mowing and edging; 60-160; ; fortnightly, front and rear
        Hedge trimming; 55-95; m; - north side
        Tree removal; 680-2900; ; incl. stump, - lemon scented gum
        Stump grinding; 150-420; ;
        Office clean; 90-380; ; weekly, - level 2
        Carpet steam clean; 45-140; ; per room
        Window cleaning; 120-460; ; exterior
        Green waste tip fee; 45-130; ;
        Irrigation repair; 85-260; ;
        Garden mulch per cubic metre; 65-120; m;
        Pressure washing; 75-110; m; - driveway""",
    ),
    _trade(
        "Catering, Produce, Provedores, Wholesale Foods, Fruit & Veg Wholesalers",
        """
        Roma tomatoes; 28-62; f; 10kg, tray
        Free range eggs; 65-110; f; 15 dozen
        Plain flour; 18-40; f; 12.5kg
        Cos lettuce; 22-48; f; box of 12
        Chicken breast; 95-160; f; 10kg carton
        Canola oil; 48-92; f; 20L
        Disposable gloves; 12-30; ; box of 100
        Paper napkins; 25-60; ; carton
        Soft drink cans; 28-55; ; 24 x 375mL
        Morning tea platter; 85-240; ; vegetarian, serves 12
        Delivery; 15-45; ;
        Chafing dish hire; 30-75; ; per day""",
    ),
    _trade(
        "Printing, Signs & Graphics, Design Studio, Print Works, Media",
        """
        Business cards; 75-260; ; 500 qty, matt laminate
        Graphic design; 90-160; m; - logo refresh, - brochure
        Pull-up banner; 140-290; ; 850 x 2000mm
        Vehicle signage; 480-1900; ; - van
        Corflute sign; 25-95; ; 600 x 900mm, double sided
        Trifold brochure; 0.4-1.9; ; full colour
        Photography half day; 650-1400; ;
        Artwork amendments; 55-110; ;
        Poster print; 9-45; ; A2, A1 gloss
        Shop front lettering; 280-990; ; - reprint""",
    ),
    _trade(
        "Medical Supplies, Training, Freight, Equipment Hire, Office Supplies, Industrial Supplies",
        """
        First aid course HLTAID011; 110-190; f;
        Nitrile gloves; 14-38; ; size M, size L, box 100
        Wheelchair standard; 290-680; f; 45cm seat
        Interstate pallet freight; 85-340; ; MEL-SYD, PER-ADL
        Scissor lift hire; 180-420; ; per week, 19ft
        Copy paper A4; 28-62; ; box of 5
        Office chair ergonomic; 220-690; ; black
        Toner cartridge; 95-260; ; black, magenta
        Safety helmet; 18-45; ; white, vented
        Generator hire 5kVA; 95-210; ; per day
        Fuel levy; 12-90; ;
        Hi-vis vest; 9-26; ; size XL, orange""",
    ),
)
