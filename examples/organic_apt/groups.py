"""The second list of species: functional groups on cores, and two of them on one, by rules.

The first list (molecules.py) has few molecules of each rare group. Here each of some hundred and
sixty neutral and charged groups stands on several cores, so that a group which the test holds out
on one core has been seen on another. A species belongs to the test by the same rule as there.
"""

from __future__ import annotations

from molecules import WATER, Species, dipeptides, once_each

CORES = """
C CC CC(C) C=C C#C c1ccccc1 c1ccncc1 c1ccsc1 c1ccoc1 c1cc[nH]c1 FC FC(F) OC COC C1CC1 N#CC NCC SC
CC(=O) CC=C
"""
"""Cores whose last atom carries the group; those of the first list are among them."""

SULFUR = """
S(=O)C S(=O)N S(=O)O S(=O)OC OS(=O)OC S(=O)(=O)C S(=O)(=O)N S(=O)(=O)NC S(=O)(=O)N(C)C S(=O)(=O)O
S(=O)(=O)OC S(=O)(=O)F S(=O)(=O)C(F)(F)F S(=O)(=O)C=C OS(=O)(=O)C OS(=O)(=O)OC OS(=O)(=O)N
NS(=O)(=O)C NS(=O)(=O)N N(C)S(=O)(=O)C N=S=O N=S(=O)=O S(C)(=O)=N S(C)=N C=S=O S(=O)(=O)SC S(=O)SC
S SC SSC SS SSSC SF SN(C)C SC#N SC=C SC(C)=O SC(F)(F)F C=S C(=S)C C(=S)N C(=S)NC C(=O)S C(=O)SC
C(=S)SC C(=S)OC OC(=S)C NC(=S)N NC(=S)C N=C=S
"""

NITROGEN = """
N NC N(C)C NN NNC N(C)N NO N(C)O NOC NF N(F)F N=C N=NC N=[N+]=[N-] [N+]#[C-] N=C=O N=C=NC N=O ON=O
[N+](=O)[O-] O[N+](=O)[O-] N[N+](=O)[O-] N(C)N=O C#N NC#N OC#N C=N C=NC C=NO C=NOC C=NN C=NN=C
C=[N+]([O-])C C=[N+]=[N-] C#[N+][O-] C(=N)N C(=N)OC NC(=N)N N=CN(C)C N=CN C(C#N)C#N C(=O)C#N
C(=O)N C(=O)NC C(=O)N(C)C C(=O)NN C(=O)NO C(=O)NC(C)=O NC=O NC(C)=O N(C)C(C)=O NC(=O)N NC(=O)NC
NC(=O)OC OC(=O)N NC(=O)C(F)(F)F
"""

OXYGEN_AND_CARBON = """
O OC OO OOC OF OC=C OC=O OC(C)=O OC(=O)OC OC(F)F OC(F)(F)F C=O C(C)=O C(=O)O C(=O)OC C(=O)F
C(=O)OC(C)=O C(=O)C(C)=O C(=O)C=C C(=O)C(F)(F)F C(=O)OO C=C C#C C=C=C C=C=O C=C=C=C C=CC=C C=CC#N
C=CC=O C=CC(=O)OC C=CN(C)C C=COC C=CSC C=C[N+](=O)[O-] C#CC#N C#CC=C C#CC#C C#CC=O C(=C)C C(F)F
C(F)(F)F CF C(O)=CC=O C1CO1 C1CN1 C1CS1 c1ccccc1 F
"""

CATIONS = """
[NH3+] [NH2+]C [NH+](C)C [N+](C)(C)C C[NH3+] C(N)=[NH2+] NC(N)=[NH2+] C=[NH2+] C=[NH+]C C(C)=[NH2+]
[S+](C)C C[S+](C)C [NH2+]O [NH2+]N C(=[NH2+])OC
"""

ANIONS = """
C(=O)[O-] CC(=O)[O-] C(=O)C(=O)[O-] C=CC(=O)[O-] [O-] C[O-] [S-] C[S-] C(=O)[S-] C(=S)[S-]
S(=O)(=O)[O-] OS(=O)(=O)[O-] S(=O)[O-] NS(=O)(=O)[O-] [N-]S(=O)(=O)C S(=O)(=O)[NH-]
C=[N+]([O-])[O-] [CH-]C#N C=C[O-] C(C)=C[O-] [CH-]C(C)=O [N-]C(C)=O [N-]C#N O[O-] C(=O)[NH-]
[CH-]S(=O)(=O)C OC(=O)[O-] NC(=O)[O-] C#C[S-] C=C[S-]
"""

RINGS = """
c1cc[n+]([O-])cc1 c1ccc[n+]([O-])c1 c1c[n+]([O-])ccn1 c1cc[nH+]cc1 C[n+]1ccccc1 Nc1cc[nH+]cc1
c1c[nH+]c[nH]1 Cc1[nH]cc[nH+]1 C[n+]1ccn(C)c1 c1c[nH+]cs1 c1c[nH]c[nH+]1 c1ccc[nH+]n1
c1cc[n-]c1 c1c[n-]cn1 c1cc[n-]n1 c1nc[n-]n1 c1nn[n-]n1 Cc1nn[n-]n1 O=c1cc[n-]c(=O)[nH]1
O=C1CC(=O)[N-]1 O=C1C=CC(=O)[N-]1 [O-]c1ccccn1 [O-]c1ccncc1 [S-]c1ccccn1 [O-]c1cccc(O)c1
[O-]c1ccc(C)cc1 [O-]c1ccc(F)cc1 [O-]c1ccccc1C=O [O-][N+](=O)c1ccccc1 [O-]c1ccc([N+](=O)[O-])cc1
c1cnn[nH]1 c1nnn[nH]1 Cc1nnn[nH]1 Cn1cnnn1 c1nonc1 c1nsnc1 c1cnsn1 c1csnn1 c1conn1 c1ncon1 c1ncsn1
Cc1nonc1 c1csc(=O)[nH]1 O=c1cc[nH]o1 O=C1C=CS1 O=S1(=O)C=CCC1 O=S1(=O)C=CC=C1 O=S1(=O)CCC1
O=S1(=O)NCCC1 O=S1CCC1 O=S1OCCO1 O=S1(=O)OCCO1 O=S1(=O)CCCCO1 C1CSSC1 C1CSCS1 C1SCSCS1 S1SCC=C1
C1=CSC=CS1 C1=CSSC1=S O=C1OCCO1 O=C1OCO1 O=C1OC=CO1 S=C1SCCS1 S=C1NCCN1 O=C1SCCN1 S=C1NC(=O)CS1
C1OCOCO1 C1COC=CO1 C1CNCCN1 C1CNNC1 N1CC1 C1CNC1 CN1CC1 C1N=N1 C1CN=NC1 C1=CN=NC1 C1CC=NO1
C1CON=C1 O=C1C=CCO1 O=C1C=CC=CO1 O=c1ccocc1 O=c1ccscc1 S=c1ccscc1 O=C1C=CCC1 O=C1CCC1 O=C1CO1
O=C1CCO1 C=C1CCO1 C=C1CC(=O)O1 C1=CCC1 C=C1CC1 C1=CC1 O=C1C=C1 C=C1C=CC=C1 C1=CC=CC=CC1
O=C1C=CC=CC=C1 O=C1C=CC(=O)N1 O=C1C=CC(=O)O1 O=C1CCC(=O)O1 O=C1C=CC=CC1=O c1ccc2nonc2c1
c1ccc2nsnc2c1 c1ccc2n[nH]nc2c1 c1ccc2[nH]ncc2c1 c1ccc2sccc2c1 c1ccc2ncsc2c1 c1ccc2cccc2cc1
c1ccc2ccccc2c1 c1ccc2nccnc2c1 c1ccc2ncncc2c1 c1cc2cccnc2[nH]1 c1cn2cccnc2n1 c1cn2ccnc2s1
c1csc2ccsc12 c1cc2cc[nH]c2s1 O=c1[nH]c2ccccc2[nH]1 O=c1[nH]c2ccccc2o1 S=c1[nH]cc[nH]1
S=c1cccc[nH]1 O=c1ccnc[nH]1 Nc1nc(N)nc(N)n1 Nc1nccc(=O)[nH]1 Cn1cnc2c1ncnc2N
O=c1[nH]c(=O)c2[nH]cnc2[nH]1 FC1(F)CC1 Fc1cccc(F)n1 Fc1c(F)c(F)c(F)c(F)c1F Fc1csnc1 Fc1cnco1
c1ccc(-c2ccccc2)cc1 c1ccc(-c2ccccn2)nc1 c1csc(-c2cccs2)c1 c1coc(-c2ccco2)c1 C1CC2CCC1C2 C1CN2CCC1CC2
C1CC2CC2C1 C1C2CC1C2 O=C1NC(=O)NC(=O)C1 O=C1NC(=O)C=N1 O=C1CSC(=O)N1 O=C1NS(=O)(=O)c2ccccc21
O=S1(=O)C=CN1 O=S1(=O)OC=CC1 O=S1(=O)ON=C1 CS1(=O)=NCCC1
"""

OTHERS = """
N=[N+]=[N-] [N-]=[N+]=O [O-][O+]=O N=N N=NN=N C=[N+]=[N-] N=C=O N=C=S SC#N OC#N N=S=O C=S=O O=S=S
FN=O FSF FOF FN(F)F FS(F)=O FC(F)=S FC#N FC#C FC(F)=C(F)F FC(F)(F)C(F)(F)F FC(F)(F)C#N FC(F)(F)C=O
FS(F)(F)(F)(F)F FS(F)(F)F FC(F)(F)S(F)(F)(F)(F)F O=S(F)C O=S(O)O OS(O)(=O)=O OSO FS(=O)(=O)O
FS(=O)(=O)N=C=O FS(=O)(=O)OS(=O)(=O)F CS(=O)(=O)OS(C)(=O)=O O=C=C=C=O O=C=CC=C=O C=C=C=C=C N#CC#CC#N
N#CC(C#N)=C(C#N)C#N N#CN=C=O N#CC=C=O N#CSC#N N#CSSC#N O=C(N=[N+]=[N-])C O=C(C#N)C#N CN(C)S(=O)N(C)C
CN(C)N=O CN(C)N=NN(C)C CN=S(=O)=NC CSSSC CSSSSC SSSS OO OOO O=NO O=[N+]([O-])O
O=NN=O [O-][N+](=O)N=O
[H][H] FF [C-]#[O+] N#N CC(=O)OO CC(=O)ON=O CC(=O)OC(C)=O O=C=NC(=O)C C=C(C)C(=O)OC
CC(=O)C=C(C)O CC(=O)C=C(C)N NC=CC=O NC=C[N+](=O)[O-] CN(C)C=CC=O CN(C)C=CC#N C=CC=CC=C C=CC=CC=O
C=CC=CC#N C#CC#CC#C C=C=C=CC C=C(C=C)C=C CC=C(C)C C=CC(C)=C C=CC=NC N#CC=CC#N O=CC=CC=O
O=C(O)C=CC(=O)O C=CS(=O)C=C C=CSC=C C=COC=C C=CNC=C C=CN=C=O C=CN=[N+]=[N-] C=C[N+]#[C-] CSC=CC=O
CSC(SC)=S CSC(=O)SC COC(=S)OC CN(C)C(=S)N(C)C CN(C)C(=S)SC CC(=S)C(C)=S NC(=S)C(N)=S NC(=O)C(N)=O
CNC(=O)C(=O)NC O=C(C(=O)O)C COC(=O)C(=O)OC OCC(O)C=O OCC(=O)CO OC1COCC1O OC1CCCCO1 OCC1OCCC1O
"""

OTHER_IONS = """
[O-]S(=O)C [O-]S(=O)(=O)S [O-]S(=O)(=O)C(F)(F)F [O-]S(=O)(=O)F [O-]S(=O)(=O)CC [O-]S(=O)(=O)c1ccccc1
[O-]S(=O)(=O)C=C [O-]OS(=O)(=O)O O=S([O-])[O-] O=S(=O)([O-])[O-] O=C([O-])[O-] O=C([O-])C(=O)[O-]
O=C([O-])CC(=O)[O-] O=C([O-])CCC(=O)[O-] O=C([O-])C=CC(=O)[O-] [NH3+]CC[NH3+] [NH3+]CCC[NH3+]
C[N+](C)(C)CCO C[N+](C)(C)CC(=O)[O-] [NH3+]CCS(=O)(=O)[O-] [NH3+]CCOS(=O)(=O)[O-] [NH3+]CCC(=O)[O-]
C[NH2+]CC(=O)[O-] C[S+](C)CC(=O)[O-] C[S+](C)(C)=O C[S+](C)O C[SH+]C [SH3+] C[OH2+] C[OH+]C CC[OH2+]
CC(C)=[OH+] C=[OH+] CC=[OH+] NC=[OH+] CC(N)=[OH+] NC(N)=[OH+] OC(O)=[OH+] OC=[OH+] CC#[NH+] C#[NH+]
C[C+](C)C C[N+]#C N#[NH+] C[N+]#N O=[N+]=O N#[O+] [N-]=C=O [N-]=C=S [C-]#N [O-]C#N N#C[N-]C#N
N#C[C-](C#N)C#N [CH2-]C#N [CH2-][N+](=O)[O-] [CH2-]C=O CC(=O)[CH-]C(C)=O [CH2-]S(C)(=O)=O
[CH2-]S(C)=O C#C[O-] C#[C-] [NH2-] C[NH-] CC(=O)[NH-] NC(=O)[NH-] CS(=O)(=O)[NH-] O=C[NH-] [O-]O
C[O-] [O-]N=O [O-][N+](=O)[N-]C [O-]C=CC=O [S-]C=S [S-]S [S-]SC [S-]C#C
[NH3+]N [NH3+]O C[NH2+]N OC[NH3+] FC[NH3+] C=C[NH3+] [NH3+]c1ccccc1 [NH3+]Cc1ccccc1
[NH3+]CCc1c[nH]cn1 CC(=O)OCC[N+](C)(C)C [NH3+]CCCC(=O)[O-] O=C([O-])CCO O=C([O-])C(O)C
O=C([O-])c1cccnc1 O=C([O-])c1ccco1 O=C([O-])c1ccc[nH]1 O=C([O-])c1ccccc1O O=C([O-])C#C
O=C([O-])C(F)F O=C([O-])CS O=C([O-])CC#N O=C([O-])C(C)=O
"""

SALTS_OF = (
    "[NH4+] C[NH3+] CC(N)=[NH2+] NC(N)=[NH2+] c1c[nH]c[nH+]1 C[N+](C)(C)C",
    "O=C[O-] CC(=O)[O-] [F-] C[S-] COS(=O)(=O)[O-] CS(=O)(=O)[O-] [N-]=[N+]=[N-] N#C[S-]",
)
"""Cations and anions of pairs."""

PAIRED_PATTERNS = ("C({0}){1}", "C({0})C{1}", "C({0})=C{1}", "c1cc({0})ccc1{1}", "c1cccc({0})c1{1}")
"""Two groups on one carbon, on neighbouring ones, and on a ring."""

SHORT = 14
"""Characters of groups that stand two on one core."""


def more_species() -> dict[str, list[Species]]:
    """All species of the second list by class, each molecule once in it."""
    cores = CORES.split()
    neutral = [*SULFUR.split(), *NITROGEN.split(), *OXYGEN_AND_CARBON.split()]
    charged = [*CATIONS.split(), *ANIONS.split()]
    single = [core + group for core in cores for group in neutral]
    ions = [core + group for core in cores[:14] for group in charged]
    ions += OTHER_IONS.split()
    others = OTHERS.split()
    cations, anions = (each.split() for each in SALTS_OF)
    found = {
        "functional": [(s,) for s in single],
        "bifunctional": [(s,) for s in _pairs([g for g in neutral if len(g) <= SHORT])],
        "ring": [(s,) for s in RINGS.split()],
        "other": [(s,) for s in others],
        "more-ions": [(s,) for s in ions],
        "more-ion-hydrates": [(s, *[WATER] * (1 + k % 3)) for k, s in enumerate(ions)],
        "more-hydrates": [(s, WATER) for s in [*single[::3], *others, *RINGS.split()]],
        "salt": [(a, b, *[WATER] * n) for a in cations for b in anions for n in (0, 2)],
        "dipeptide": [(s,) for _, s in dipeptides()],
    }
    return once_each(found)


def _pairs(groups: list[str]) -> list[str]:
    """Two groups on one core; every group with about a dozen others, on each core in turn."""
    pairs = [
        (a, groups[(k + step) % len(groups)])
        for step in (0, 1, 3, 7, 12, 20, 31, 45)
        for k, a in enumerate(groups)
    ]
    return [
        PAIRED_PATTERNS[k % len(PAIRED_PATTERNS)].format(a, b) for k, (a, b) in enumerate(pairs)
    ]
