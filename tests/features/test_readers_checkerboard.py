"""The checkerboard has an exact answer, and holds out one liked and one disliked product per consumer."""

from features.readers.checkerboard import checkerboard, held_out


def test_ratings_say_whether_the_colours_agree():
    frame = checkerboard(6).interactions.frame
    number = {name: frame[name].str.rsplit("-").str[-1].astype(int) for name in ("consumer_id", "product_id")}
    agree = (number["consumer_id"] + number["product_id"]) % 2 == 0
    assert frame["rating"].tolist() == agree.map({True: 5.0, False: 1.0}).tolist()


def test_seen_and_held_out_pairs_are_the_whole_board():
    seen = checkerboard(8).interactions.frame[["consumer_id", "product_id"]].apply(tuple, axis=1)
    hidden = held_out(8)
    pairs = hidden[["consumer_id", "product_id"]].apply(tuple, axis=1)
    assert not set(seen) & set(pairs)
    assert len(set(seen) | set(pairs)) == 64
    assert hidden.groupby("consumer_id")["liked"].agg(list).map(sorted).tolist() == [[False, True]] * 8


def test_every_consumer_and_product_is_met_equally_often():
    frame = checkerboard(10).interactions.frame
    assert set(frame["consumer_id"].value_counts()) == set(frame["product_id"].value_counts()) == {8}
