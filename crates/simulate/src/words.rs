//! The words that made-up people, brands and projects are made of. No person has them all.

/// A first name, and how it goes into an address.
pub(crate) const GIVEN: &[(&str, &str)] = &[
    ("Oliver", "oliver"), ("Łukasz", "ukasz"), ("Mia", "mia"), ("Ольга", "user"), ("Niamh", "niamh"), ("娜", "user"),
    ("Wanjiru", "wanjiru"), ("Jack", "jack"), ("Chinedu", "chinedu"), ("Seán", "sean"), ("Gaël", "gael"),
    ("Ngozi", "ngozi"), ("Юлия", "user"), ("Ava", "ava"), ("Ella", "ella"), ("Anaïs", "anais"), ("Иван", "user"),
    ("Liam", "liam"), ("Åsa", "asa"), ("George", "george"), ("Zuzana", "zuzana"), ("Ágnes", "agnes"),
    ("Priya", "priya"), ("민수", "user"), ("Íñigo", "inigo"), ("花子", "user"), ("Freya", "freya"), ("João", "joao"),
    ("Rahul", "rahul"), ("Zoë", "zoe"), ("Harry", "harry"), ("Begoña", "begona"), ("Ananya", "ananya"),
    ("Sipho", "sipho"), ("Renée", "renee"), ("Aisha", "aisha"), ("Isla", "isla"), ("Jiří", "jiri"),
    ("Małgorzata", "magorzata"), ("Fatima", "fatima"), ("Jürgen", "jurgen"), ("Kofi", "kofi"), ("Siobhán", "siobhan"),
    ("Omar", "omar"), ("Søren", "sren"), ("Maria", "maria"), ("Anna", "anna"), ("Ødegaard", "degaard"), ("伟", "user"),
    ("Sophie", "sophie"), ("Noël", "noel"), ("Luís", "luis"), ("Beatriz", "beatriz"), ("Inês", "ines"),
    ("지은", "user"), ("Amina", "amina"), ("Leo", "leo"), ("Éloïse", "eloise"), ("Tomáš", "tomas"), ("太郎", "user"),
    ("Amelia", "amelia"), ("Noah", "noah"), ("Lucas", "lucas"), ("Emma", "emma"), ("Nuño", "nuno"),
    ("Björn", "bjorn"), ("Mohammed", "mohammed"), ("Camila", "camila"), ("László", "laszlo"), ("José", "jose"),
    ("Mátyás", "matyas"), ("Thandi", "thandi"), ("Chloé", "chloe"), ("Dimitra", "dimitra"), ("Nikos", "nikos"),
    ("François", "francois"), ("Olivia", "olivia"),
];

/// A last name, likewise.
pub(crate) const FAMILY: &[(&str, &str)] = &[
    ("Szabó", "szabo"), ("佐藤", "mt"), ("Muñoz", "munoz"), ("Janssens", "janssens"), ("Campbell", "campbell"),
    ("Петрова", "mt"), ("Lefèvre", "lefevre"), ("王", "mt"), ("Murphy", "murphy"), ("Παπαδόπουλος", "mt"),
    ("Smith", "smith"), ("Åström", "astrom"), ("Khan", "khan"), ("Kumar", "kumar"), ("Williams", "williams"),
    ("Singh", "singh"), ("Dupont", "dupont"), ("Evans", "evans"), ("Иванов", "mt"), ("Patel", "patel"),
    ("Sørensen", "srensen"), ("Lindström", "lindstrom"), ("Wójcik", "wojcik"), ("Taylor", "taylor"),
    ("Ahmed", "ahmed"), ("Schröder", "schroder"), ("Weiß", "wei"), ("Rossi", "rossi"), ("O'Neill", "oneill"),
    ("Nowak", "nowak"), ("Gagné", "gagne"), ("Peeters", "peeters"), ("Adeyemi", "adeyemi"), ("Brown", "brown"),
    ("Mensah", "mensah"), ("López", "lopez"), ("Dvořák", "dvorak"), ("García", "garcia"), ("Núñez", "nunez"),
    ("Silva", "silva"), ("Okafor", "okafor"), ("Kelly", "kelly"), ("Jones", "jones"), ("Fernández", "fernandez"),
    ("Mwangi", "mwangi"), ("Kowalczyk", "kowalczyk"), ("山田", "mt"), ("O'Brien", "obrien"), ("Nagy", "nagy"),
    ("박", "mt"), ("Esposito", "esposito"), ("Pérez", "perez"), ("Araújo", "araujo"), ("Nkosi", "nkosi"),
    ("Bianchi", "bianchi"), ("Groß", "gro"), ("李", "mt"), ("김", "mt"), ("Dlamini", "dlamini"),
    ("de Vries", "devries"), ("van der Berg", "vanderberg"), ("Novák", "novak"), ("Müller", "muller"),
    ("Kjær", "kjr"), ("Peña", "pena"), ("MacDonald", "macdonald"), ("Côté", "cote"), ("Gonçalves", "goncalves"),
];

pub(crate) const DOMAINS: &[(&str, u64)] = &[
    ("gmail.com", 2400), ("outlook.com", 760), ("hotmail.com", 730), ("icloud.com", 505), ("yahoo.co.uk", 490),
    ("btinternet.com", 325), ("protonmail.com", 265), ("gmx.de", 186), ("orange.fr", 174), ("sky.com", 132),
    ("web.de", 112), ("live.nl", 83),
];

pub(crate) const INTERNATIONAL: &[&str] =
    &["bäume.de", "företag.se", "españa-verde.es", "université.fr", "森林.jp", "straßenbaum.at"];

/// Words that say that there is nothing, as people type them.
pub(crate) const NOTHING: &[&str] = &["\\N", "", "NULL", "n/a", "-", "None", " "];

/// A country: how often, its spellings, its currency's place, and numbers of its network (each `#` is a digit).
pub(crate) struct Country {
    pub(crate) weight: u64,
    pub(crate) spellings: &'static [&'static str],
    pub(crate) currency: usize,
    pub(crate) phones: &'static [&'static str],
}

pub(crate) const COUNTRIES: &[Country] = &[
    Country {
        weight: 2460,
        spellings: &[
            "GBR", "United Kingdom", "Wales", "england", "UK", "U.K.", "Scotland", "Northern Ireland", "Great Britain",
            "GB", "gb",
        ],
        currency: GBP,
        phones: &["+44 7400 1#####", "+44 7400 1#####", "+44 7400 1#####", "+4474001#####", "07400 1#####"],
    },
    Country {
        weight: 270,
        spellings: &["Germany", "DEU", "Deutschland", "DE"],
        currency: EUR,
        phones: &["+49 1512 34#####", "+49151234#####", "01512 34#####"],
    },
    Country {
        weight: 233,
        spellings: &["FRA", "France", "france", "FR"],
        currency: EUR,
        phones: &["+33 6 12 3# ## ##", "+336123#####", "06 12 3# ## ##"],
    },
    Country {
        weight: 358,
        spellings: &["United States", "USA", "America", "U.S.A.", "United States of America", "US"],
        currency: USD,
        phones: &["+1 201-55#-####", "+120155#####", "(201) 55#-####"],
    },
    Country {
        weight: 108,
        spellings: &["Kenya", "KE"],
        currency: GBP,
        phones: &["+254 712 1#####", "+2547121#####", "0712 1#####"],
    },
    Country {
        weight: 126,
        spellings: &["Netherlands", "NL", "Holland"],
        currency: EUR,
        phones: &["+31 6 123#####", "+316123#####", "06 123#####"],
    },
    Country {
        weight: 200,
        spellings: &["Espana", "Spain", "EspaÃ±a", "ES", "España"],
        currency: EUR,
        phones: &["+34 612 3# ## ##", "+346123#####", "612 3# ## ##"],
    },
    Country { weight: 86, spellings: &["PL", "Poland"], currency: EUR, phones: &["+485123#####", "512 3## ###"] },
    Country { weight: 105, spellings: &["ITA", "IT", "Italy"], currency: EUR, phones: &["+39 312 34# ####"] },
    Country { weight: 70, spellings: &["BR", "Brazil"], currency: USD, phones: &["+55 11 96123-####", "(11) 96123-####"] },
    Country {
        weight: 131,
        spellings: &["IE", "Ireland", "Eire", "Republic of Ireland"],
        currency: EUR,
        phones: &["+353 85 01# ####", "085 01# ####"],
    },
    Country { weight: 81, spellings: &["SE", "Sweden", "SWE"], currency: SEK, phones: &["+46 70 12# ## ##"] },
    Country { weight: 90, spellings: &["AUS", "Australia", "AU"], currency: AUD, phones: &["+61 412 34# ###"] },
    Country { weight: 83, spellings: &["CA", "Canada", "CAN"], currency: CAD, phones: &["+1 506-23#-####"] },
    Country {
        weight: 44,
        spellings: &["Czech Republic", "CZ", "Czechia"],
        currency: EUR,
        phones: &["+420 601 1## ###", "601 1## ###"],
    },
    Country { weight: 45, spellings: &["JPN", "Japan", "JP"], currency: JPY, phones: &["+81 90-12##-####"] },
    Country {
        weight: 26,
        spellings: &["Ivory Coast", "CI", "cote d'ivoire", "Côte d'Ivoire"],
        currency: EUR,
        phones: &["+225 01 23 45 ## ##"],
    },
];

pub(crate) const NO_COUNTRIES: &[&str] = &["??", "XX", "Narnia", "Europe", "Untied Kingdom"];
pub(crate) const NO_PHONES: &[&str] = &["call me", "12345", "000000000", "x930", "ext. 4", "07400"];
pub(crate) const LANGUAGES: &[(&str, u64)] = &[
    ("en", 1885), ("en-GB", 1294), ("en_GB", 613), ("en-us", 315), ("fr", 314), ("de", 300), ("\\N", 251), ("es", 211),
    ("", 210), ("EN", 186), ("de-DE", 185), ("fr_FR", 160), ("sv", 142), ("nl", 109), ("english", 71), ("ENG", 54),
];

/// A currency, and how it may be written. Its place in [`CURRENCIES`] stands for it elsewhere.
pub(crate) struct Currency {
    pub(crate) code: &'static str,
    pub(crate) digits: u32,
    pub(crate) symbol: Option<&'static str>,
    pub(crate) spellings: &'static [&'static str],
    /// Minor units of about 60 pence.
    pub(crate) tree: i64,
    /// Of users whom their country says nothing of, how many pay in it.
    pub(crate) weight: u64,
}

const fn currency(
    code: &'static str,
    symbol: Option<&'static str>,
    spellings: &'static [&'static str],
    weight: u64,
) -> Currency {
    Currency { code, digits: 2, symbol, spellings, tree: 60, weight }
}

pub(crate) const CURRENCIES: &[Currency] = &[
    currency("GBP", Some("£"), &["gbp", "STG", "£", "UKP"], 900),
    currency("EUR", Some("€"), &["eur", "EURO", "€", "euro"], 45),
    currency("USD", Some("$"), &["usd", "$", "US$", "Usd"], 25),
    currency("AUD", None, &["aud", "Aud"], 8),
    currency("CAD", None, &["cad", "Cad"], 7),
    currency("SEK", None, &["sek", "Sek"], 4),
    currency("CHF", None, &["chf", "Chf"], 8),
    Currency { code: "JPY", digits: 0, symbol: Some("¥"), spellings: &["jpy", "¥", "Jpy"], tree: 60, weight: 8 },
    Currency { code: "KWD", digits: 3, symbol: None, spellings: &["kwd"], tree: 600, weight: 3 },
];

pub(crate) const GBP: usize = 0;
pub(crate) const EUR: usize = 1;
pub(crate) const USD: usize = 2;
pub(crate) const AUD: usize = 3;
pub(crate) const CAD: usize = 4;
pub(crate) const SEK: usize = 5;
pub(crate) const JPY: usize = 7;

pub(crate) const NO_CURRENCIES: &[&str] = &["BTC", "ZWD", "Q", "POUNDS", "XYZ"];
pub(crate) const NO_CURRENCY: &[&str] = &["\\N", "", "n/a", "-"];
pub(crate) const NO_AMOUNTS: &[&str] = &["tbc", "free", "n/a", "12..5", "12.50.1.x", "see notes"];

pub(crate) const BRANDS: &[&str] = &[
    "Acorn", "Blue Fern", "Café Olé", "Nordlicht", "Kjær & Co", "Green Loop", "Éclat", "Harbour", "Société Verte",
    "Müller", "Tidal", "Peak", "Smith & Sons", "Juniper", "Änglamark", "Lantern", "Meadow", "Río Claro", "Saltmarsh",
    "Tern", "Umber", "Wren",
];
pub(crate) const TRADES: &[&str] = &[
    "Coffee", "Outdoor", "Insurance", "Travel", "Print", "Energy", "Foods", "Studio", "Logistics", "Software", "Linen",
    "Books", "Cycles", "Legal", "Soap", "Kitchens",
];
pub(crate) const GROUPS: &[(&str, u64)] =
    &[("\\N", 10), ("Verdant  Group", 9), ("n/a", 7), ("Groupe Forêt", 4), ("Verdant Group", 3), ("", 2)];

/// A project's name, its country, latitude and longitude in hundredths.
pub(crate) const PLACES: &[(&str, &str, i64, i64)] = &[
    ("Maputo Bay", "Mozambique", -2590, 3260), ("Vale São João", "Madagascar", -1870, 4680),
    ("Bosque de Niños", "KE", -105, 3780), ("Mahajanga", "Madagascar", -1572, 4632),
    ("Forêt de Guéra", "CI", 630, -510), ("Kilifi Creek", "KE", -363, 3985), ("Río Verde", "Mexico", 2125, -9955),
    ("Tsavo East", "KE", -278, 3877), ("Lac Rosé", "Côte d'Ivoire", 686, -524), ("Usambara", "Tanzania", -480, 3840),
    ("Katingan", "IDN", -250, 11340), ("Ankarafantsika", "Madagascar", -1615, 4690),
    ("Araucária", "Brazil", -2550, -4930), ("Glen Affric", "Scotland", 5734, -486), ("Palawan", "PHL", 995, 11885),
    ("Coromandel", "NZ", -3690, 17570),
];
pub(crate) const FORESTS: &[&str] =
    &["Mangroves", "Rainforest", "Agroforest", "Peatland", "Woodland", "Highlands", "Watershed", "Corridor"];
pub(crate) const SPECIES: &[&str] = &[
    "Grevillea robusta", "Rhizophora mucronata", "Avicennia marina", "Moringa oleifera", "Betula pendula",
    "Araucária angustifolia", "Ceriops tagal", "Pinus sylvestris", "Quercus robur", "Prunus africana",
];

pub(crate) const MESSAGES: &[&str] = &[
    "Happy birthday!", "A tree for\r\nevery year", "In memory of José", "Thank you for your help",
    "Herzlichen Glückwunsch – für Größe", "For Dad, with love", "Congratulations on your wedding, \"Team Oak\"",
    "Bon anniversaire, chérie", "Merry Christmas, love from all of us", "Frohe Weihnachten, Jürgen!",
    "Well done; great work", "Grow tall 🌱",
];
pub(crate) const COST_CENTRES: &[&str] =
    &["Retail", "HR", "R&D", "Opérations", "Marketing", "general", "IT", "Legal", "Facilities", "Events"];
pub(crate) const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];
