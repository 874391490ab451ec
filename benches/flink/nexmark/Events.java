package nexmark;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;

/**
 * The events of Nexmark, by the parameters of Beam: the same as those of workflows/nexmark/events.rs, which says what the
 * numbers mean. Text is made as bytes, as Flink keeps it.
 */
final class Events implements Serializable {
    private static final long BEGIN = 1_436_918_400_000L;
    private static final long PERSONS = 1;
    private static final long AUCTIONS = 3;
    private static final long EPOCH = PERSONS + AUCTIONS + 46;
    private static final long ACTIVE_PERSONS = 1000;
    private static final long OPEN_AUCTIONS = 100;
    private static final long LEAD = 10;
    private static final long FIRST_ID = 1000;
    private static final long FIRST_CATEGORY = 10;
    private static final int CATEGORIES = 5;
    private static final long HOT = 100;
    private static final int PERSON_BYTES = 200;
    private static final int AUCTION_BYTES = 500;
    private static final int BID_BYTES = 100;
    private static final double LN_10 = Math.log(10);

    private static final String[] FIRST_NAMES = {
        "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"
    };
    private static final String[] LAST_NAMES = {
        "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"
    };
    private static final String[] CITIES = {
        "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
    };
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};

    /** Microseconds from one event to the next. */
    private final long delay;

    Events(long rate) {
        delay = (1_000_000 + rate / 2) / rate;
    }

    /** The event of this number: its kind, and a row for a person, an auction or a bid, of which two are null. */
    RowData event(long number) {
        Numbers random = new Numbers(number);
        long at = number % EPOCH;
        if (at < PERSONS) {
            return GenericRowData.of(0, person(number, random), null, null);
        }
        if (at < PERSONS + AUCTIONS) {
            return GenericRowData.of(1, null, auction(number, random), null);
        }
        return GenericRowData.of(2, null, null, bid(number, random));
    }

    private long time(long number) {
        return BEGIN + number * delay / 1000;
    }

    private RowData person(long number, Numbers random) {
        long id = lastPerson(number) + FIRST_ID;
        String name = FIRST_NAMES[random.below(FIRST_NAMES.length)] + " " + LAST_NAMES[random.below(LAST_NAMES.length)];
        String email = text(7, random) + "@" + text(5, random) + ".com";
        StringBuilder card = new StringBuilder(19);
        for (int group = 0; group < 4; group++) {
            String digits = Integer.toString(10_000 + random.below(10_000));
            card.append(group > 0 ? " " : "").append(digits, 1, 5);
        }
        String city = CITIES[random.below(CITIES.length)];
        String state = STATES[random.below(STATES.length)];
        int bytes = 8 + name.length() + email.length() + card.length() + city.length() + state.length();
        StringData extra = extra(bytes, PERSON_BYTES, random);
        return GenericRowData.of(
                id, data(name), data(email), data(card.toString()), data(city), data(state), stamp(time(number)), extra);
    }

    private RowData auction(long number, Numbers random) {
        long id = lastAuction(number) + FIRST_ID;
        long time = time(number);
        boolean hot = random.below(4) > 0;
        long seller = hot ? lastPerson(number) / HOT * HOT : nextPerson(number, random);
        long category = FIRST_CATEGORY + random.below(CATEGORIES);
        long initialBid = price(random);
        long horizon = time(number + OPEN_AUCTIONS * EPOCH / AUCTIONS) - time;
        long expires = time + 1 + random.below((int) Math.max(horizon * 2, 1));
        String item = text(20, random);
        String description = text(100, random);
        long reserve = initialBid + price(random);
        StringData extra = extra(8 + item.length() + description.length() + 40, AUCTION_BYTES, random);
        return GenericRowData.of(
                id, data(item), data(description), initialBid, reserve, stamp(time), stamp(expires), seller + FIRST_ID,
                category, extra);
    }

    private RowData bid(long number, Numbers random) {
        boolean hot = random.below(2) > 0;
        long auction = hot ? lastAuction(number) / HOT * HOT : nextAuction(number, random);
        hot = random.below(4) > 0;
        long bidder = hot ? lastPerson(number) / HOT * HOT + 1 : nextPerson(number, random);
        long price = price(random);
        StringData extra = extra(32, BID_BYTES, random);
        return GenericRowData.of(auction + FIRST_ID, bidder + FIRST_ID, price, stamp(time(number)), extra);
    }

    private static long lastPerson(long number) {
        return number / EPOCH * PERSONS;
    }

    private static long lastAuction(long number) {
        long epoch = number / EPOCH;
        long at = number % EPOCH;
        return at < PERSONS
                ? Math.max(epoch * AUCTIONS - 1, 0)
                : epoch * AUCTIONS + Math.min(at - PERSONS, AUCTIONS - 1);
    }

    private static long nextPerson(long number, Numbers random) {
        long there = lastPerson(number) + 1;
        long active = Math.min(there, ACTIVE_PERSONS);
        return there - active + random.below((int) (active + LEAD));
    }

    private static long nextAuction(long number, Numbers random) {
        long newest = lastAuction(number);
        long oldest = Math.max(newest - OPEN_AUCTIONS, 0);
        return oldest + random.below((int) (newest - oldest + 1 + LEAD));
    }

    private static long price(Numbers random) {
        double magnitude = random.fraction() * 6;
        double near = Math.exp(magnitude * LN_10) * 100 + 0.5;
        long price = (long) near;
        double beyond = near - price;
        return beyond > 1e-5 && beyond < 1 - 1e-5 ? price : (long) (Math.pow(10, magnitude) * 100 + 0.5);
    }

    private static TimestampData stamp(long time) {
        return TimestampData.fromEpochMillis(time);
    }

    private static StringData data(String text) {
        return StringData.fromBytes(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    private static String text(int most, Numbers random) {
        byte[] text = new byte[3 + random.below(most - 3)];
        for (int i = 0; i < text.length; i++) {
            text[i] = (byte) (random.below(13) == 0 ? ' ' : 'a' + random.below(26));
        }
        return new String(text, StandardCharsets.ISO_8859_1).trim();
    }

    private static StringData extra(int bytes, int average, Numbers random) {
        if (bytes > average) {
            return StringData.fromString("");
        }
        int missing = average - bytes;
        int spread = (int) Math.floor(missing * 0.2 + 0.5);
        int length = missing - spread + (spread == 0 ? 0 : random.below(2 * spread));
        return StringData.fromBytes(Letters.letters(length, random));
    }
}
