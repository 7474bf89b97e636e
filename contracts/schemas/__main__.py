"""Write the schemas anew: `python -m contracts.schemas`."""

from contracts.schemas import DIRECTORY, write

write(DIRECTORY)
