"""Texts become tokens."""

import pytest

from semibench.errors import UsageError
from semibench.methods.networks._clip_text import word_tokenizer


def test_a_word_beyond_the_vocabulary_is_refused_with_the_words_that_exist():
    with pytest.raises(UsageError, match=r"does not know the word 'tram'.*red, disk"):
        word_tokenizer("red disk", 8)(["red tram"])


def test_a_long_text_keeps_its_end():
    assert word_tokenizer("red disk", 4)(["red disk red disk"]).tolist() == [[3, 1, 2, 4]]


def test_case_and_commas_do_not_matter():
    tokenize = word_tokenizer("red disk", 5)
    assert tokenize(["Red, disk."]).tolist() == tokenize(["red disk"]).tolist()
