"""EEG: recordings in through MNE, cleaned recordings out."""

from domains.eeg.channels import TEN_TWENTY
from domains.eeg.denoisenet import EEGDenoiseNet
from domains.eeg.denoiser import EEGDenoiser
from domains.eeg.eeg import EEG

__all__ = ["EEG", "TEN_TWENTY", "EEGDenoiseNet", "EEGDenoiser"]
