"""Molecules of the general model: our own lists and rules, as SMILES, by class.

Elements are H, C, N, O, F and S. A species is one molecule or a cluster of several; its charge is
that of its SMILES. Molecules are held out for the test as a whole, clusters where any solute is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

WATER = "O"

FUNDAMENTAL = """
O N S F C CC C=C C#C CCC C=CC CC#C CCCC CC(C)C C=CC=C CC(C)(C)C C1CC1 C1CCCC1 C1CCCCC1 c1ccccc1
Cc1ccccc1 c1ccc(C)cc1 CO CCO CCCO CC(C)O COC CCOC C1CO1 C1CCOC1 C1COCCO1 C=O CC=O CCC=O CC(C)=O
C=CC=O O=CC=O OC=O CC(=O)O CCC(=O)O COC=O COC(C)=O OCC(=O)O C(=O)(O)O COC(=O)OC CN CNC CN(C)C CCN
C1CCNC1 C1CCNCC1 C1CNCCO1 NN NO CNN C#N CC#N CCC#N C=CC#N N#CC#N NC#N CC=N CN=C C=NO CC=NO CN=C=O
NC=O CNC=O CN(C)C=O CC(N)=O CNC(C)=O CN(C)C(C)=O CCC(N)=O NC(N)=O CNC(N)=O NC(=O)C=O COC(N)=O
CNC(=O)NC O=C1CCCN1 O=C1CCN1 O=C1CCC(=O)N1 CC(=O)NC(C)=O NC(=N)N CC(=N)N C[N+](=O)[O-] OO COO
O=C=O CF FCF FC(F)F FC(F)(F)F CCF FC=C FC(F)=C CC(F)F CC(F)(F)F FCCO OCC(F)(F)F FC(=O)C FC=O
Fc1ccccc1 FC(F)(F)c1ccccc1 CS CCS CSC CSCC CSSC SS C1CCSC1 C1CS1 C=S CC(C)=S CC(N)=S NC(N)=S
CC(=O)S CSC(C)=O O=C=S S=C=S CN=C=S CSC#N OCCO OCCS NCCO NCCN NCC(N)=O OCC=O NCC(=O)O COCCO
OCC(O)CO FCCF C=CO C=CN C1=CCCC1 C1CCC=CC1 C=C=C CC(=O)C(C)=O CC(=O)CC(C)=O O=C1C=CC(=O)C=C1
C=CC(=O)O C=CC(N)=O CC#CC
"""

SULFUR_VI = """
CS(C)(=O)=O CS(N)(=O)=O CS(=O)(=O)NC CS(=O)(=O)OC CS(=O)(=O)O NS(N)(=O)=O O=S1(=O)CCCC1
CS(=O)(=O)F COS(=O)(=O)OC CCS(C)(=O)=O C=CS(C)(=O)=O NS(=O)(=O)c1ccccc1 CS(=O)(=O)c1ccccc1 CS(C)=O
CS(=O)O CS(=O)(=O)CC#N CS(=O)(=O)CCN NCCS(=O)(=O)O CN(C)S(C)(=O)=O O=S=O O=S(=O)=O FS(F)(=O)=O
CS(C)(=N)=O FC(F)(F)S(N)(=O)=O CC(=O)NS(C)(=O)=O O=S1CCCC1 CCS(N)(=O)=O COS(N)(=O)=O
CS(=O)(=O)C(F)F
"""

HETEROCYCLES = """
c1cc[nH]c1 c1c[nH]cn1 c1cn[nH]c1 c1nc[nH]n1 c1nn[nH]n1 c1ccoc1 c1cocn1 c1ccon1 c1nnco1 c1ccsc1
c1cscn1 c1ccsn1 c1nncs1 c1ccncc1 c1cnccn1 c1cncnc1 c1ccnnc1 c1ncncn1 c1ccc2[nH]ccc2c1
c1ccc2[nH]cnc2c1 c1ncc2nc[nH]c2n1 c1ccc2ncccc2c1 c1ccc2occc2c1 c1ccc2scnc2c1 Cc1c[nH]cn1 Cn1ccnc1
Cn1cccc1 Cc1ccncc1 Cc1c[nH]c2ccccc12 Nc1ccncc1 Nc1ncccn1 Nc1nccs1 Oc1ccccn1 O=c1cccc[nH]1
O=c1cc[nH]c(=O)[nH]1 Cc1c[nH]c(=O)[nH]c1=O Nc1cc[nH]c(=O)n1 Nc1ncnc2[nH]cnc12
Nc1nc2[nH]cnc2c(=O)[nH]1 Cn1ccc(=O)[nH]c1=O Cc1nccs1 Cc1ncco1 COc1ccccn1 Fc1ccccn1 Fc1ccc[nH]1
N#Cc1ccccn1 NC(=O)c1cccnc1 O=Cc1ccco1 O=Cc1ccc[nH]1 OC(=O)c1cccs1 Cc1ccsc1 Cc1noc(C)c1 Nc1cn[nH]c1
c1cc2ccccn2c1 C1=NCCN1 C1=NCCO1 O=C1NCCN1 O=C1OCCN1 O=C1NC(=O)CN1 c1cnc2[nH]ccc2c1 Nc1nnc(S)s1
CSc1ccncn1 O=c1[nH]cnc2[nH]cnc12
"""

CORES = """
C CC CC(C) CC(C)(C) C=C C#C C1CC1 C1CCCC1 c1ccccc1 c1ccncc1 c1ccoc1 c1ccsc1 c1nc[nH]c1 FC FC(F)
OCC NCC CC=C C1COC1 COC N#CC
"""
"""Cores whose last atom carries the substituent."""

SUBSTITUENTS = """
O OC N NC N(C)C F S SC C#N C=O C(=O)C C(=O)O C(=O)OC C(=O)N C(=O)NC NC(=O)C NC=O [N+](=O)[O-]
S(=O)C S(=O)(=O)C S(=O)(=O)N C(F)(F)F NC(=O)N C=NO OC=O C(=O)F SSC OC(=O)C C(=O)S N=C NO OC(F)F
NS(=O)(=O)C
"""

SIDE_CHAINS = {
    "A": "C", "V": "C(C)C", "L": "CC(C)C", "I": "[C@@H](C)CC", "S": "CO",
    "T": "[C@@H](C)O", "C": "CS", "M": "CCSC", "N": "CC(=O)N", "Q": "CCC(=O)N",
    "D": "CC(=O)O", "E": "CCC(=O)O", "K": "CCCCN", "R": "CCCNC(=N)N",
    "H": "Cc1c[nH]cn1", "F": "Cc1ccccc1", "Y": "Cc1ccc(O)cc1", "W": "Cc1c[nH]c2ccccc12",
}  # fmt: skip

CHARGED_SIDE_CHAINS = {
    "D": "CC(=O)[O-]", "E": "CCC(=O)[O-]", "K": "CCCC[NH3+]", "R": "CCCNC(=[NH2+])N",
    "H": "Cc1c[nH]c[nH+]1", "C": "C[S-]",
}  # fmt: skip

IONS = """
[NH4+] C[NH3+] CC[NH3+] C[NH2+]C C[NH+](C)C C[N+](C)(C)C NC(N)=[NH2+] CNC(N)=[NH2+] c1c[nH]c[nH+]1
Cc1c[nH]c[nH+]1 c1cc[nH+]cc1 [OH3+] C=[NH2+] CC(N)=[NH2+] C1CC[NH2+]C1 C[SH+]C C[S+](C)C OCC[NH3+]
[NH3+]CC(N)=O [O-]C=O CC(=O)[O-] CCC(=O)[O-] C[S-] C[O-] [O-]c1ccccc1 CS(=O)(=O)[O-]
COS(=O)(=O)[O-] [OH-] [SH-] [C-]#N [N-]=[N+]=[N-] [F-] O=C([O-])O O=[N+]([O-])[O-] N#C[S-]
OCC(=O)[O-] NCC(=O)[O-] FC(F)(F)C(=O)[O-] O=C([O-])c1ccccc1 C=CC(=O)[O-] [O-]N=O CC[S-]
CNC(=O)CC(=O)[O-] C[n+]1ccn(C)c1 CC(=O)NCC(=O)[O-] CC(=O)NCC[NH3+] O=S([O-])O OS(=O)(=O)[O-]
NS(=O)(=O)[O-] CC[O-] [O-]CC(F)(F)F
"""

PARTNERS = """
O N CO CN CC=O CC(C)=O CC(=O)O CC(N)=O CNC(C)=O C c1ccccc1 CS CSC CF C#N COC c1cc[nH]c1 c1c[nH]cn1
c1ccncc1 C=C CC S F C[N+](=O)[O-] CS(C)=O CS(C)(=O)=O CS(N)(=O)=O NC=O OC=O CC#N C=O NC(N)=O
c1ccsc1 c1ccoc1 FC(F)F CCO COC(C)=O CSSC Oc1ccccc1 Cc1c[nH]c2ccccc12 O=c1cc[nH]c(=O)[nH]1
"""
"""Molecules of dimers."""

HELD_OUT = frozenset({"CC(N)=O", "CNC(C)=O", "CCO"})
"""Molecules of the page on fine-tuning, which the model must not have seen."""

HELD_OUT_RESIDUES = frozenset("TNMY")
HELD_OUT_PART = 0.12


@dataclass(frozen=True)
class Species:
    """A molecule, or a cluster of molecules.

    Attributes
    ----------
    kind : class by which errors are given
    smiles : of each molecule
    """

    kind: str
    smiles: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether it belongs to the test."""
        return any(_is_held_out(smiles) for smiles in self.smiles if smiles != WATER)

    @property
    def name(self) -> str:
        """Its SMILES."""
        return ".".join(self.smiles)


def _is_held_out(smiles: str) -> bool:
    name = canonical(smiles)
    if name in HELD_OUT or name in _held_out_peptides():
        return True
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return number / 2**32 < HELD_OUT_PART


def canonical(smiles: str) -> str:
    """The SMILES by which molecules are compared."""
    from rdkit import Chem

    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))


def _held_out_peptides() -> frozenset[str]:
    if not _PEPTIDES_HELD_OUT:
        _PEPTIDES_HELD_OUT.update(
            canonical(smiles)
            for letters, smiles in (*_peptides(), *_zwitterions(), *dipeptides())
            if HELD_OUT_RESIDUES & set(letters)
        )
    return frozenset(_PEPTIDES_HELD_OUT)


_PEPTIDES_HELD_OUT: set[str] = set()


def residue(letter: str, side_chains: dict[str, str] = SIDE_CHAINS) -> str:
    """From its N to its C=O."""
    if letter == "G":
        return "NCC(=O)"
    if letter == "P":
        return "N1CCC[C@H]1C(=O)"
    return f"N[C@@H]({side_chains[letter]})C(=O)"


def _peptides() -> list[tuple[str, str]]:
    """Residues and SMILES of capped amino acids and dipeptides."""
    letters = ["G", "P", *SIDE_CHAINS]
    caps = (("O=C", "N"), ("CC(=O)", "N"), ("CC(=O)", "NC"), ("O=C", "NC"))
    found = [(a, f"{left}{residue(a)}{right}") for a in letters for left, right in caps]
    small = ["G", "A", "S", "C", "P", "V", "T", "N", "D"]
    found += [
        (a + b, f"{left}{residue(a)}{residue(b)}{right}")
        for a in small[:6]
        for b in small
        for left, right in (("O=C", "N"), ("CC(=O)", "NC"))
        if len(residue(a)) + len(residue(b)) < 40
    ]
    return found


def dipeptides() -> list[tuple[str, str]]:
    """Residues and SMILES of dipeptides between acetyl and methylamide, neutral and charged.

    They belong to the second list of species; each residue stands beside a few others.
    """
    letters = ["G", "P", *SIDE_CHAINS]
    pairs = [(a, b) for k, a in enumerate(letters) for b in (letters * 2)[k : k + 18 : 3]]
    pairs += [(b, a) for a, b in pairs[::2] if a != b]
    found = [(a + b, f"CC(=O){residue(a)}{residue(b)}NC") for a, b in pairs]
    charged = [(a, b) for k, a in enumerate(CHARGED_SIDE_CHAINS) for b in letters[k::4]]
    return found + [
        (a + b, f"CC(=O){residue(a, CHARGED_SIDE_CHAINS)}{residue(b)}NC") for a, b in charged
    ]


def _charged_peptides() -> list[str]:
    return [
        f"{left}{residue(a, CHARGED_SIDE_CHAINS)}{right}"
        for a in CHARGED_SIDE_CHAINS
        for left, right in (("CC(=O)", "NC"), ("O=C", "N"))
    ]


def _zwitterions() -> list[tuple[str, str]]:
    """Residues and SMILES of amino acids as they are in water."""
    chains = {**SIDE_CHAINS, **{k: v for k, v in CHARGED_SIDE_CHAINS.items() if k != "C"}}
    found = [("G", "[NH3+]CC(=O)[O-]"), ("P", "[NH2+]1CCC[C@H]1C(=O)[O-]")]
    return found + [(a, f"[NH3+][C@@H]({chain})C(=O)[O-]") for a, chain in chains.items()]


def species() -> dict[str, list[Species]]:
    """All species by class, each molecule once."""
    substituted = [core + end for core in CORES.split() for end in SUBSTITUENTS.split()]
    peptides = [smiles for _, smiles in _peptides()]
    small = [*FUNDAMENTAL.split(), *SULFUR_VI.split()]
    solutes = [*small, *HETEROCYCLES.split(), *substituted[::3], *peptides[::4]]
    partners = PARTNERS.split()
    ions, charged = IONS.split(), _charged_peptides()
    return once_each(
        {
            "monomer": [(s,) for s in FUNDAMENTAL.split()],
            "sulfur-vi": [(s,) for s in SULFUR_VI.split()],
            "heterocycle": [(s,) for s in HETEROCYCLES.split()],
            "substituted": [(s,) for s in substituted],
            "peptide": [(s,) for s in peptides],
            "hydrate": [(s, *[WATER] * (1 + k % 3)) for k, s in enumerate(solutes)],
            "water": [(WATER,) * n for n in (1, 2, 3, 4, 5, 6, 8)],
            "dimer": [(a, b) for k, a in enumerate(partners) for b in partners[k:]],
            "ion": [(s,) for s in [*ions, *charged]],
            "ion-hydrate": [(s, *[WATER] * n) for s in [*ions, *charged[1::2]] for n in (1, 2, 4)],
            "amino-acid-in-water": [
                (s, *[WATER] * n) for _, s in _zwitterions() for n in (3, 5, 7)
            ],
        }
    )


def once_each(found: dict[str, list[tuple[str, ...]]]) -> dict[str, list[Species]]:
    """Species of each class, none twice in it; what is no molecule is refused."""
    return {kind: _once(kind, clusters) for kind, clusters in found.items()}


def _once(kind: str, clusters: list[tuple[str, ...]]) -> list[Species]:
    from rdkit import Chem

    seen: dict[tuple[str, ...], Species] = {}
    for cluster in clusters:
        if any(Chem.MolFromSmiles(smiles) is None for smiles in cluster):
            raise ValueError(f"{kind}: {cluster} is no molecule")
        seen.setdefault(tuple(sorted(map(canonical, cluster))), Species(kind, cluster))
    return list(seen.values())
