"""llama.cpp's recurrent models: plain decoding with the reason, right text from a used cache."""

from tests.recurrent import decoded_plainly
from tests.tiny import write_model, write_recurrent


def test_a_recurrent_model_is_decoded_plainly_and_says_why(tmp_path):
    recurrent, other = write_recurrent(tmp_path / "recurrent.gguf", 1), write_model(tmp_path / "other.gguf", 2)
    decoded_plainly(recurrent, other, "recurrent")
    decoded_plainly(other, recurrent, "recurrent")
