//! Orders of a shop on three ways: home, abroad, and those that a person looks at first. Test orders end here.
//!
//! The rule: each order goes one way at most. Where the ways lead is the job's affair: an output is a name to the plugin.

use pelton_sdk::prelude::*;

/// What is read of an order.
#[derive(Fields)]
struct Order<'a> {
    id: &'a str,
    /// paid, open or test.
    status: &'a str,
    /// Two letters, in small.
    country: &'a str,
    cents: i64,
    /// How many orders this customer had before; none for guests.
    orders_before: Option<i64>,
}

/// Goes to the warehouse next door.
#[derive(Output)]
struct Home<'a> {
    id: &'a str,
    cents: i64,
}

/// Goes over a border, so its papers must say where.
#[derive(Output)]
struct Abroad<'a> {
    id: &'a str,
    country: &'a str,
    cents: i64,
}

/// Somebody looks at it first.
#[derive(Output)]
struct Review<'a> {
    id: &'a str,
    country: &'a str,
    cents: i64,
    /// Why.
    reason: &'a str,
}

/// A variant is an output: `home`, `abroad`, `review`.
#[derive(Output)]
enum Way<'a> {
    Home(Home<'a>),
    Abroad(Abroad<'a>),
    Review(Review<'a>),
}

#[config]
#[serde(default)]
struct Settings {
    /// The country of the shop.
    home: String,
    /// From so many cents on, somebody looks at an order first.
    review_from: i64,
    /// The same for guests and for those who order for the first time.
    review_first_from: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { home: "de".to_owned(), review_from: 100_000, review_first_from: 20_000 }
    }
}

struct Router(Settings);

impl Router {
    /// Why somebody must look at it, if anybody.
    fn doubt(&self, order: &Order<'_>) -> Option<&'static str> {
        let is_first = order.orders_before.unwrap_or(0) == 0;
        if order.cents >= self.0.review_from {
            Some("large")
        } else if is_first && order.cents >= self.0.review_first_from {
            Some("large for a first order")
        } else {
            None
        }
    }

    fn way<'a>(&self, order: &Order<'a>) -> Way<'a> {
        let &Order { id, country, cents, .. } = order;
        match self.doubt(order) {
            Some(reason) => Way::Review(Review { id, country, cents, reason }),
            None if country == self.0.home => Way::Home(Home { id, cents }),
            None => Way::Abroad(Abroad { id, country, cents }),
        }
    }
}

impl Transformer for Router {
    type Config = Settings;
    type Input<'a> = Order<'a>;
    type Output<'a> = Way<'a>;
    const NAME: &'static str = "route-and-filter";
    const DOC: &'static str = "Orders on three ways: home, abroad, and those that a person looks at first";

    fn new(settings: Settings) -> Result<Self, String> {
        let Settings { home, review_from, review_first_from } = &settings;
        if home.len() != 2 || !home.bytes().all(|letter| letter.is_ascii_lowercase()) {
            return Err(format!("`home` is `{home}`; a country is two small letters, such as `de`"));
        }
        if review_first_from > review_from {
            return Err(format!(
                "`review_first_from` is {review_first_from} and `review_from` is {review_from}; the first must not be more"
            ));
        }
        Ok(Self(settings))
    }

    fn process<'a>(&mut self, orders: Rows<'a, Order<'a>>, out: &mut Out<Way<'a>>) -> Result<(), Failure> {
        for order in orders {
            match order.status {
                "paid" if order.cents > 0 => out.emit(&order, self.way(&order)),
                "paid" => out.reject(&order, "no_price", format!("paid, and {} cents", order.cents)),
                "open" | "test" => {} // neither emitted nor rejected: dropped
                other => out.reject(&order, "unknown_status", format!("`{other}` is none of paid, open, test")),
            }
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Router);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::transformer::<Router>,
        );
    }

    #[test]
    fn the_larger_bound_is_the_reason_that_is_given() {
        let router = Router(Settings::default());
        let order = |cents, orders_before| Order { id: "1", status: "paid", country: "de", cents, orders_before };
        assert_eq!(router.doubt(&order(100_000, None)), Some("large"));
        assert_eq!(router.doubt(&order(99_999, Some(0))), Some("large for a first order"));
        assert_eq!(router.doubt(&order(99_999, Some(1))), None);
        assert_eq!(router.doubt(&order(19_999, None)), None);
    }
}
