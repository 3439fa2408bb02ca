"""What it is reused on: embedded data sets, torchvision's, and folders and tables of labelled examples."""
