"""Genome assemblies: what their chromosomes are called and how long they are, and which assembly a file is in.

An assembly is a table in this folder: `hg19.tsv`, `hg38.tsv`. Another one is another table.
"""

from app.core.assemblies.assembly import ASSEMBLIES, HG19, HG38, Assembly, get_assembly
from app.core.assemblies.fit import Fit, match_chromosomes, recognise

__all__ = ["ASSEMBLIES", "HG19", "HG38", "Assembly", "Fit", "get_assembly", "match_chromosomes", "recognise"]
