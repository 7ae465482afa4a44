"""Laws: the predicted error of training on a mixture of strata for a number of samples.

>>> from tamis.selectors import laws
>>> law = laws.RepetitionUtility(b=[-0.13], tau=[3], a=0.022, d=0.1)
>>> float(law.predict(weights=[1], samples=32e6, supply=[12_800_000]).round(3))
0.899
"""

from tamis.selectors.laws.chinchilla import Chinchilla
from tamis.selectors.laws.competition import LAWS, Entry, compete
from tamis.selectors.laws.data_constrained import DataConstrained
from tamis.selectors.laws.effective_data import EffectiveData
from tamis.selectors.laws.fitting import Fit
from tamis.selectors.laws.info_law import InfoLaw
from tamis.selectors.laws.memorisation import Memorisation
from tamis.selectors.laws.mixture_power import MixturePower
from tamis.selectors.laws.mixture_regression import MixtureRegression
from tamis.selectors.laws.mixture_repetition import MixtureRepetition
from tamis.selectors.laws.power import Power
from tamis.selectors.laws.protocol import Law
from tamis.selectors.laws.rational import Rational
from tamis.selectors.laws.repetition_utility import RepetitionUtility
from tamis.selectors.laws.signal_noise import SignalNoise
from tamis.selectors.laws.tables import compare, fit, read

__all__ = [
    "LAWS",
    "Chinchilla",
    "DataConstrained",
    "EffectiveData",
    "Entry",
    "Fit",
    "InfoLaw",
    "Law",
    "Memorisation",
    "MixturePower",
    "MixtureRegression",
    "MixtureRepetition",
    "Power",
    "Rational",
    "RepetitionUtility",
    "SignalNoise",
    "compare",
    "compete",
    "fit",
    "read",
]
