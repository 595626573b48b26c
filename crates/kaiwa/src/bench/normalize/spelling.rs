//! American spelling of British words, by rules and short lists.

/// Words that no rule fits, in alphabetical order.
const WORDS: &[(&str, &str)] = &[
    ("aeroplane", "airplane"),
    ("aeroplanes", "airplanes"),
    ("ageing", "aging"),
    ("aggrandisement", "aggrandizement"),
    ("almanack", "almanac"),
    ("almanacks", "almanacs"),
    ("aluminium", "aluminum"),
    ("appal", "appall"),
    ("appals", "appalls"),
    ("artefact", "artifact"),
    ("artefacts", "artifacts"),
    ("axe", "ax"),
    ("bannister", "banister"),
    ("bannisters", "banisters"),
    ("baulk", "balk"),
    ("baulked", "balked"),
    ("baulking", "balking"),
    ("baulks", "balks"),
    ("behove", "behoove"),
    ("behoved", "behooved"),
    ("behoves", "behooves"),
    ("bevvies", "bevies"),
    ("bevvy", "bevy"),
    ("biassed", "biased"),
    ("biassing", "biasing"),
    ("bingeing", "binging"),
    ("busses", "buses"),
    ("bussing", "busing"),
    ("calliper", "caliper"),
    ("callipers", "calipers"),
    ("callisthenics", "calisthenics"),
    ("cancelation", "cancellation"),
    ("cancelations", "cancellations"),
    ("catalogued", "cataloged"),
    ("cataloguing", "cataloging"),
    ("cheque", "check"),
    ("chequebook", "checkbook"),
    ("chequebooks", "checkbooks"),
    ("chequered", "checkered"),
    ("cheques", "checks"),
    ("chilli", "chili"),
    ("clarinettist", "clarinetist"),
    ("clarinettists", "clarinetists"),
    ("connexion", "connection"),
    ("connexions", "connections"),
    ("cosier", "cozier"),
    ("cosies", "cozies"),
    ("cosiest", "coziest"),
    ("cosily", "cozily"),
    ("cosiness", "coziness"),
    ("cosy", "cozy"),
    ("crenelated", "crenellated"),
    ("cruellest", "cruelest"),
    ("cypher", "cipher"),
    ("cyphers", "ciphers"),
    ("disc", "disk"),
    ("discs", "disks"),
    ("distil", "distill"),
    ("distils", "distills"),
    ("edoema", "edema"),
    ("enrol", "enroll"),
    ("enrolment", "enrollment"),
    ("enrols", "enrolls"),
    ("enthral", "enthrall"),
    ("enthrals", "enthralls"),
    ("epaulette", "epaulet"),
    ("epaulettes", "epaulets"),
    ("fillet", "filet"),
    ("filleted", "fileted"),
    ("filleting", "fileting"),
    ("fillets", "filets"),
    ("flautist", "flutist"),
    ("flautists", "flutists"),
    ("fulfil", "fulfill"),
    ("fulfilment", "fulfillment"),
    ("fulfils", "fulfills"),
    ("gage", "gauge"),
    ("gaged", "gauged"),
    ("gages", "gauges"),
    ("gaging", "gauging"),
    ("gasses", "gases"),
    ("gipsies", "gypsies"),
    ("gipsy", "gypsy"),
    ("glamor", "glamour"),
    ("glueing", "gluing"),
    ("grey", "gray"),
    ("greyed", "grayed"),
    ("greying", "graying"),
    ("greyish", "grayish"),
    ("greyness", "grayness"),
    ("greys", "grays"),
    ("groyne", "groin"),
    ("groynes", "groins"),
    ("gryphon", "griffin"),
    ("gryphons", "griffins"),
    ("inflexion", "inflection"),
    ("inflexions", "inflections"),
    ("instal", "install"),
    ("instalment", "installment"),
    ("instalments", "installments"),
    ("instals", "installs"),
    ("instil", "instill"),
    ("instils", "instills"),
    ("jewellery", "jewelry"),
    ("judgement", "judgment"),
    ("judgements", "judgments"),
    ("kerb", "curb"),
    ("kerbs", "curbs"),
    ("licence", "license"),
    ("licenced", "licensed"),
    ("licences", "licenses"),
    ("licencing", "licensing"),
    ("likeable", "likable"),
    ("meagre", "meager"),
    ("mhm", "hmm"),
    ("minibusses", "minibuses"),
    ("misspelt", "misspelled"),
    ("mmm", "hmm"),
    ("moult", "molt"),
    ("moulted", "molted"),
    ("moulting", "molting"),
    ("moults", "molts"),
    ("ochre", "ocher"),
    ("omelette", "omelet"),
    ("omelettes", "omelets"),
    ("philtre", "filter"),
    ("philtres", "filters"),
    ("phoney", "phony"),
    ("pouffe", "pouf"),
    ("pouffes", "poufs"),
    ("practise", "practice"),
    ("practised", "practiced"),
    ("practises", "practices"),
    ("practising", "practicing"),
    ("pyjama", "pajama"),
    ("pyjamas", "pajamas"),
    ("pzazz", "pizzazz"),
    ("sheikh", "sheik"),
    ("sheikhs", "sheiks"),
    ("skilful", "skillful"),
    ("skilfully", "skillfully"),
    ("sombre", "somber"),
    ("specialities", "specialties"),
    ("speciality", "specialty"),
    ("storey", "story"),
    ("storeys", "stories"),
    ("tonne", "ton"),
    ("tonnes", "tons"),
    ("tranquillity", "tranquility"),
    ("tranquilly", "tranquility"),
    ("tyre", "tire"),
    ("tyres", "tires"),
    ("videodisc", "videodisk"),
    ("videodiscs", "videodisks"),
    ("waggon", "wagon"),
    ("waggons", "wagons"),
    ("wilful", "willful"),
    ("wilfully", "willfully"),
    ("woollen", "woolen"),
    ("woollens", "woolens"),
    ("woollies", "woolies"),
    ("woolly", "wooly"),
    ("worshipped", "worshiped"),
    ("worshipper", "worshiper"),
    ("worshipping", "worshiping"),
    ("yoghourt", "yogurt"),
    ("yoghourts", "yogurts"),
    ("yoghurt", "yogurt"),
    ("yoghurts", "yogurts"),
];

/// Pieces that are spelt differently wherever they stand in a word.
const PIECES: &[(&str, &str)] = &[
    ("aemi", "emi"),
    ("aeon", "eon"),
    ("aesthe", "esthe"),
    ("aetiolog", "etiolog"),
    ("analogue", "analog"),
    ("arbour", "arbor"),
    ("archaeolog", "archeolog"),
    ("ardour", "ardor"),
    ("armour", "armor"),
    ("behaviour", "behavior"),
    ("belabour", "belabor"),
    ("bougainvillaea", "bougainvillea"),
    ("caesarea", "cesarea"),
    ("candour", "candor"),
    ("catalogue", "catalog"),
    ("chimaera", "chimera"),
    ("clamour", "clamor"),
    ("clangour", "clangor"),
    ("colour", "color"),
    ("defence", "defense"),
    ("demeanour", "demeanor"),
    ("dialogue", "dialog"),
    ("draught", "draft"),
    ("enamour", "enamor"),
    ("endeavour", "endeavor"),
    ("epilogue", "epilog"),
    ("faec", "fec"),
    ("favour", "favor"),
    ("fervour", "fervor"),
    ("flavour", "flavor"),
    ("foet", "fet"),
    ("gaol", "jail"),
    ("gynaec", "gynec"),
    ("haem", "hem"),
    ("homoeo", "homeo"),
    ("honour", "honor"),
    ("humour", "humor"),
    ("labour", "labor"),
    ("manoeuv", "maneuv"),
    ("mediaeval", "medieval"),
    ("monologue", "monolog"),
    ("mould", "mold"),
    ("moustach", "mustach"),
    ("neighbour", "neighbor"),
    ("odour", "odor"),
    ("oedema", "edema"),
    ("oesoph", "esoph"),
    ("oestro", "estro"),
    ("offence", "offense"),
    ("paed", "ped"),
    ("palaeo", "paleo"),
    ("parlour", "parlor"),
    ("pharmacopoeia", "pharmacopeia"),
    ("plough", "plow"),
    ("praesidium", "presidium"),
    ("pretence", "pretense"),
    ("primaeval", "primeval"),
    ("prologue", "prolog"),
    ("rancour", "rancor"),
    ("rigour", "rigor"),
    ("rrhoea", "rrhea"),
    ("rumour", "rumor"),
    ("saviour", "savior"),
    ("savour", "savor"),
    ("sceptic", "skeptic"),
    ("splendour", "splendor"),
    ("succour", "succor"),
    ("sulph", "sulf"),
    ("syphon", "siphon"),
    ("tranquilli", "tranquili"),
    ("tumour", "tumor"),
    ("valour", "valor"),
    ("vapour", "vapor"),
    ("vigour", "vigor"),
];

/// What stands before -re that is -er in America.
const RE: &[&str] = &[
    "accout",
    "calib",
    "cent",
    "fib",
    "goit",
    "lit",
    "louv",
    "lust",
    "maneuv",
    "meag",
    "met",
    "mit",
    "reconnoit",
    "sab",
    "saltpet",
    "scept",
    "sepulch",
    "spect",
    "theat",
];

/// Ends of words whose final l is doubled only in Britain.
const SINGLE_L: &[&str] = &[
    "bedevil",
    "bejewel",
    "bevel",
    "cancel",
    "carol",
    "cavil",
    "channel",
    "chisel",
    "council",
    "counsel",
    "cruel",
    "cudgel",
    "dial",
    "disembowel",
    "dishevel",
    "drivel",
    "duel",
    "enamel",
    "equal",
    "fuel",
    "funnel",
    "gambol",
    "gravel",
    "grovel",
    "gruel",
    "impanel",
    "imperil",
    "initial",
    "jewel",
    "label",
    "level",
    "libel",
    "marshal",
    "marvel",
    "model",
    "panel",
    "parcel",
    "pedal",
    "pencil",
    "pummel",
    "quarrel",
    "ravel",
    "revel",
    "rival",
    "shovel",
    "shrivel",
    "signal",
    "snivel",
    "snorkel",
    "spiral",
    "squirrel",
    "stencil",
    "swivel",
    "tassel",
    "total",
    "towel",
    "trammel",
    "travel",
    "trial",
    "tunnel",
    "weasel",
    "yodel",
];

/// Words that end in -ise everywhere, and nouns whose plurals would look like such verbs.
const ISE: &[&str] = &[
    "cerise",
    "chastise",
    "chemise",
    "clitorise",
    "concise",
    "highrise",
    "metropolise",
    "moonrise",
    "mortise",
    "penise",
    "portcullise",
    "treatise",
    "trellise",
    "valise",
];

/// Ends of words that end in -ise everywhere.
const ISE_ENDS: &[&str] = &[
    "advertise",
    "advise",
    "aise",
    "circumcise",
    "compromise",
    "demise",
    "despise",
    "devise",
    "excise",
    "exercise",
    "expertise",
    "franchise",
    "guise",
    "improvise",
    "incise",
    "merchandise",
    "oise",
    "paradise",
    "practise",
    "precise",
    "premise",
    "prise",
    "promise",
    "revise",
    "sunrise",
    "supervise",
    "surmise",
    "televise",
    "uise",
    "wise",
];

/// Endings of verbs in -l.
const L_ENDINGS: &[&str] = &[
    "ed", "er", "ers", "est", "ing", "ingly", "ings", "ist", "ists", "or", "ors", "ous", "ously",
];

/// Endings of verbs in -ise, after the s.
const ISE_ENDINGS: &[&str] = &[
    "e", "ed", "er", "ers", "es", "ing", "ingly", "able", "ably", "ance", "ation", "ations",
    "ational",
];

/// The American spelling of a lower-case word; the word itself where that is the same.
pub(super) fn american(word: &str) -> String {
    if let Ok(index) = WORDS.binary_search_by_key(&word, |(british, _)| *british) {
        return WORDS[index].1.to_owned();
    }
    let mut word = word.to_owned();
    for (british, american) in PIECES {
        if word.contains(british) {
            word = word.replace(british, american);
        }
    }
    word = with_er(word);
    if let Some(stem) = ["gramme", "grammes"]
        .iter()
        .find_map(|end| word.strip_suffix(end))
    {
        let plural = if word.ends_with('s') { "s" } else { "" };
        return format!("{stem}gram{plural}");
    }
    for ending in L_ENDINGS {
        if let Some(stem) = word
            .strip_suffix(ending)
            .and_then(|stem| stem.strip_suffix('l'))
            && SINGLE_L.iter().any(|single| stem.ends_with(single))
        {
            return format!("{stem}{ending}");
        }
    }
    for ending in ISE_ENDINGS {
        if let Some(stem) = word
            .strip_suffix(ending)
            .and_then(|stem| stem.strip_suffix('s'))
        {
            let verb = format!("{stem}se");
            // The shortest are "rise", "arise", "irises" and their like.
            let is_ize = stem.ends_with('i')
                && stem.len() > 3
                && ISE.binary_search(&verb.as_str()).is_err()
                && !ISE_ENDS.iter().any(|end| verb.ends_with(end));
            if is_ize || stem.ends_with("aly") {
                return format!("{stem}z{ending}");
            }
        }
    }
    word
}

/// "centre" becomes "center", "centred" "centered", "centring" "centering".
fn with_er(word: String) -> String {
    for stem in RE {
        let Some(at) = word.find(stem) else {
            continue;
        };
        let (head, tail) = word.split_at(at + stem.len());
        let tail = match tail {
            "re" => "er",
            "res" => "ers",
            "red" => "ered",
            "ring" => "ering",
            "rings" => "erings",
            "rable" => "erable",
            "rability" => "erability",
            // "fibreglass", "centrepiece"; not "inspectress".
            _ if tail.starts_with("re") && tail.len() >= 6 => {
                return format!("{head}er{}", &tail[2..]);
            }
            _ => continue,
        };
        return format!("{head}{tail}");
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        assert!(WORDS.is_sorted());
        assert!(ISE.is_sorted());
    }

    #[test]
    fn british_words_become_american() {
        for (british, expected) in [
            ("colourful", "colorful"),
            ("neighbourhood", "neighborhood"),
            ("centred", "centered"),
            ("kilometres", "kilometers"),
            ("fibreglass", "fiberglass"),
            ("theatre", "theater"),
            ("travelled", "traveled"),
            ("unequalled", "unequaled"),
            ("marvellous", "marvelous"),
            ("organise", "organize"),
            ("realised", "realized"),
            ("organisation", "organization"),
            ("analysing", "analyzing"),
            ("anaesthetised", "anesthetized"),
            ("grey", "gray"),
            ("programmes", "programs"),
            ("kilogramme", "kilogram"),
            ("licence", "license"),
            ("catalogued", "cataloged"),
            ("manoeuvring", "maneuvering"),
            ("authorise", "authorize"),
            ("moulding", "molding"),
            ("paediatric", "pediatric"),
        ] {
            assert_eq!(american(british), expected);
        }
    }

    #[test]
    fn other_words_stay() {
        for word in [
            "hour",
            "tour",
            "four",
            "controlled",
            "called",
            "promised",
            "advertising",
            "wise",
            "rising",
            "improvisation",
            "premises",
            "central",
            "metric",
            "literature",
            "illustrate",
            "sombrero",
            "programmer",
            "raises",
            "adviser",
            "analysis",
            "greyhound",
            "noises",
            "disguised",
            "expertise",
            "clockwise",
            "chaise",
            "actress",
            "inspectress",
        ] {
            assert_eq!(american(word), word);
        }
    }
}
