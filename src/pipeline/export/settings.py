"""Settings of the export."""

from typing import Annotated

from pydantic import Field

from pipeline.core.settings import FINITE, Settings, Text, Whole


class Export(Settings):
    """``export``: what is shipped, and when int8 is good enough to be shipped."""

    int8_agreement: Annotated[float, Field(ge=0, le=1), FINITE] = 0.98
    """Least share of rows for which int8 must choose the same class as float32. With 1 and any
    difference, int8 is not shipped."""
    int8_rows: Annotated[Whole, Field(ge=100)] = 3000
    """Rows of the pool, which need no label, on which the two are compared, and the most rows of
    validation on which they are."""
    int8_loss: Annotated[float, Field(ge=0, le=1), FINITE] = 0.0
    """Loss of accuracy on the validation rows that is accepted. If it is established that int8
    loses more, by the 95% interval of the paired difference, int8 is not shipped."""
    license: Text | None = None
    """License of the weights for the model card, such as ``apache-2.0``. It must be one that the
    licenses of the pretrained weights and of the corpora allow."""
